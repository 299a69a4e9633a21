# SPDX-License-Identifier: MIT
"""Classes to derive from. Signatures are computed by n3x, so that these are never used."""


class SignatureGenerator:
    name = "noop"

    def __init__(self, data):
        raise NotImplementedError("n3x computes signatures itself: no signature generator of metadata is used")


class SignatureGeneratorBasic(SignatureGenerator):
    name = "basic"


class SignatureGeneratorBasicHash(SignatureGeneratorBasic):
    name = "basichash"


class SignatureGeneratorUniHashMixIn:
    pass


class SignatureGeneratorTestEquivHash(SignatureGeneratorUniHashMixIn, SignatureGeneratorBasicHash):
    name = "TestEquivHash"


HASH_SERIALIZER = "n3x"


def find_siginfo_version():
    return 2


find_siginfo_minversion = 2

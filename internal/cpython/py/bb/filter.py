# SPDX-License-Identifier: MIT
"""Functions that filters of variables may call."""


def filter_proc(*, name=None):
    def inner(func):
        return func
    return inner

# SPDX-License-Identifier: MIT
"""Messages by domain."""

import sys

import bb

loggerDefaultDomains = {}


def fatal(msgdomain, msg):
    if msgdomain:
        bb.error("%s: %s" % (msgdomain, msg))
    else:
        bb.error(msg)
    sys.exit(1)

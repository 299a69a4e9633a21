# SPDX-License-Identifier: MIT
"""Tables of strings that stay from one evaluation to the next. They are kept on the other side, with those of Starlark."""

from n3x import store


class SQLTable:
    def __init__(self, domain, d):
        self.domain, self.d = domain, d

    def _ask(self, key, value=None):
        if not isinstance(key, str) or not isinstance(value, (str, type(None))):
            raise TypeError("Only string keys and values are supported")
        return store.call("persist", None, self.d._n3x, self.domain, key, value)

    def __getitem__(self, key):
        value = self._ask(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key, value):
        self._ask(key, value)

    def __contains__(self, key):
        return self._ask(key) is not None

    def get(self, key, default=None):
        value = self._ask(key)
        return default if value is None else value


def persist(domain, d):
    return SQLTable(domain, d)

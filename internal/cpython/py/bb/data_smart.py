# SPDX-License-Identifier: MIT
"""The datastore's class and the error of a failed expansion."""

from n3x.host import Names as DataContext  # noqa: F401
from n3x.store import DataSmart, ExpansionError  # noqa: F401

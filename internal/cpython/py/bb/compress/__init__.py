# SPDX-License-Identifier: MIT
"""Compressed files: tasks use them, parsing does not."""

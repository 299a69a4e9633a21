# SPDX-License-Identifier: MIT
"""The inside of n3x: what runs the Python of metadata. Metadata never sees this package."""

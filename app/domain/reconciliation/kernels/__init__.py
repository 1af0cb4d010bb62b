"""The loops over bytes and hashes of the large path, compiled by numba: they hold no GIL, and know no Python objects.

What a kernel says of a cell or a row is what `cells`, `records` and `hashing`'s plain functions say of it; the tests
hold each pair of them side by side.
"""

"""Comparing two tables of text cells row by row: the same question has the same answer by every method.

`compare.compare` is the entry; the words (common, changed, left-only, right-only) are defined in `exact`, equality of
cells in `cells`, pairing in `pairing`.
"""

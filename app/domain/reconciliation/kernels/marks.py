"""Bytes that mean something to the kernels, and what may become of a cell."""

IN_PLACE, REWRITTEN, NULL, UNDECIDED = 0, 1, 2, 3  # where the canonical text is; undecided: only Python knows it

TAB, NEWLINE, CARRIAGE_RETURN, FIRST_SEPARATOR, BLANK = 9, 10, 13, 28, 32
QUOTE, PLUS, MINUS, POINT, ZERO, NINE, COLON = 34, 43, 45, 46, 48, 57, 58
UPPER_A, UPPER_E, UPPER_T, UPPER_Z = 65, 69, 84, 90
LOWER = 32  # the bit that makes a letter small
LOWER_F, LOWER_I, LOWER_N, LOWER_T = 102, 105, 110, 116  # of false, inf, nan, true
NOT_ASCII = 128

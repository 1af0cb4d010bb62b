"""Tests of the kernels, beside what they stand for in plain Python."""

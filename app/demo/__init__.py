"""The flights playground and the tour of it."""

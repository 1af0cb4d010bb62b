"""The tests; the tree mirrors app's."""

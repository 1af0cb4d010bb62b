"""The servers that the tests bring up for themselves, and what else several of them need."""

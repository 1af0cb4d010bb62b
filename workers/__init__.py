"""Processes that execute."""

"""Clients of Amazon Web Services."""

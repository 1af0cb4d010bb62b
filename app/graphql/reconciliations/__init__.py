"""Reconciliations in the API."""

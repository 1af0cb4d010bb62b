"""Accounts and sessions in the API."""

"""Backfills in the API."""

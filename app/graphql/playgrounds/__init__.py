"""Playgrounds in the API."""

"""User-defined functions in the API."""

"""Engines, previews and health in the API."""

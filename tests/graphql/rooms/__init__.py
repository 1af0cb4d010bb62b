"""Tests of the rooms of the API."""

"""Tests of graphql."""

"""Tests of graphql/transport."""

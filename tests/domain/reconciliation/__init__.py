"""Tests of domain/reconciliation."""

"""Tests of engines/mysql."""

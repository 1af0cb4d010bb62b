"""Tests of engines/emr."""

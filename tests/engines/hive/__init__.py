"""Tests of engines/hive."""

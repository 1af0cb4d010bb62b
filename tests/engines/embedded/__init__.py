"""Tests of engines/embedded."""

"""Comparing two tabular outputs, exactly."""

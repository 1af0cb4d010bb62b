"""Measurements, printed by scripts/bench; no test looks at a clock."""

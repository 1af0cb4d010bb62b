"""Data quality checks: what a person asks of a task's output, and what an output comes to by it."""

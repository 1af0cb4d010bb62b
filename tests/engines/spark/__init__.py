"""Spark SQL and PySpark, on a real Spark."""

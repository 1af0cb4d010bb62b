"""How PySpark scripts are run, on whichever Spark: a process each, whose `result` is the output."""

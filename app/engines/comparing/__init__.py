"""Comparing two large outputs on a Spark: the job that every such engine runs, and what it takes along."""

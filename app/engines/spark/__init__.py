"""The engine for Spark SQL and PySpark on Spark Connect servers, which may be of this machine."""

"""The engine for HIVE tasks that run on a HiveServer2: Apache Hive's own, or Spark's Thrift server."""

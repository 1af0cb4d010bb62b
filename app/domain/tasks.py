"""Vocabulary of tasks: the five kinds of text that a task can hold."""

from enum import StrEnum


class TaskType(StrEnum):
    HIVE = "HIVE"
    PRESTO = "PRESTO"
    SPARK_SQL = "SPARK_SQL"
    PYSPARK = "PYSPARK"
    MYSQL = "MYSQL"

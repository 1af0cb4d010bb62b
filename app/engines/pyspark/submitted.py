"""The program that spark-submit runs: one PySpark script, in a session with a SparkContext of its own."""

import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from app.engines.pyspark.runner import leave, outcome_of


def main(folder: Path) -> None:
    sys.path.remove(str(Path(__file__).parent))  # which is there as the program's folder, before the script's modules
    spark = SparkSession.builder.getOrCreate()
    # The result is computed after the script's end, so a stop is not the script's to decide.
    session: Any = type(spark)
    session.stop = lambda self: None  # noqa: ARG005
    leave(folder, outcome_of(spark, folder, own_server=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Work that brings functions of its own, compiled from Java."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from app.engines.base import UdfKind, Work, WorkUdf
from tests.engines.driving import Driver
from tests.support.java import HIVE_FUNCTION, SPARK_FUNCTION


def work_with(driver: Driver, query: str, jar: Path) -> Work:
    """Of the functions `shout`, a HIVE one, and `plus_one`, a SPARK one."""
    digest = sha256(jar.read_bytes()).hexdigest()
    hive = WorkUdf(function_name="shout", class_name=HIVE_FUNCTION, kind=UdfKind.HIVE, jar=jar, sha256=digest)
    spark = WorkUdf(
        function_name="plus_one",
        class_name=SPARK_FUNCTION,
        kind=UdfKind.SPARK,
        jar=jar,
        sha256=digest,
        parameter_types=("bigint",),
        return_type="bigint",
    )
    return replace(driver.work(query), udfs=(hive, spark))

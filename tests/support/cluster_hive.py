"""Hive's command line as far as steps use it, over Spark: statements, settings, a header, a log of schemas, errors."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.support.cluster_spark import bring, connect, take_output

_JAR = re.compile(r"(USING JAR ')(s3://[^']*)'")
_DIRECTORY = re.compile(
    r"(INSERT OVERWRITE DIRECTORY ')(s3://[^']*)(' ROW FORMAT SERDE .*? STORED AS TEXTFILE )", re.DOTALL
)
_ERRORS = {
    "TABLE_OR_VIEW_NOT_FOUND": "SemanticException [Error 10001]: Line 1:1 Table not found",
    "UNRESOLVED_COLUMN": "SemanticException [Error 10004]: Line 1:1 Invalid table alias or column reference",
}


def main(script: str) -> int:
    """The exit status."""
    from pyspark.errors import ParseException, PySparkException  # noqa: PLC0415 - in the programs alone

    spark = connect()
    settings: dict[str, str] = {}
    for statement in _statements(script):
        try:
            _run(spark, statement, settings)
        except ParseException as error:
            print(f"FAILED: ParseException line 1:7 {_first_line(error)}", file=sys.stderr)
            return 64
        except PySparkException as error:
            condition = (error.getCondition() or "").partition(".")[0]
            told = _ERRORS.get(
                condition, "Execution Error, return code 2 from org.apache.hadoop.hive.ql.exec.tez.TezTask."
            )
            print(f"FAILED: {told} {_first_line(error)}", file=sys.stderr)
            return 2 if condition not in _ERRORS else 10
    return 0


def _run(spark: Any, statement: str, settings: dict[str, str]) -> None:
    if statement.upper().startswith("SET "):
        name, set_, value = statement[4:].strip().partition("=")
        if set_:
            settings[name] = value
            if name == "hive.variable.substitute":
                spark.conf.set("spark.sql.variable.substitute", value)
        else:
            print(f"{name}={settings[name]}")
        return
    statement = _JAR.sub(lambda found: f"{found[1]}{bring(found[2])}'", statement)
    found = _DIRECTORY.search(statement)
    if found is not None:
        _insert(spark, statement, found)
        return
    result = spark.sql(statement)
    if result.columns:
        print("\t".join(result.columns))
        for row in result.toLocalIterator():
            print("\t".join("NULL" if cell is None else str(cell) for cell in row))


def _insert(spark: Any, statement: str, found: "re.Match[str]") -> None:
    """Compiled first, when Hive tells the schema in its log, and then run."""
    fields = spark.sql(statement.replace(found[0], "")).schema.fields
    told = ", ".join(
        f"FieldSchema(name:{field.name.lower()}, type:{field.dataType.simpleString()}, comment:null)"
        for field in fields
    )
    schema = f"Schema(fieldSchemas:[{told}], properties:null)"
    print(f"26/01/05 10:00:00 [main]: INFO ql.Driver: Returning Hive schema: {schema}", file=sys.stderr)
    folder = Path(mkdtemp(dir=Path.cwd())) / "parts"
    spark.sql(statement.replace(found[0], f"{found[1]}{folder}{found[3]}"))
    take_output(folder, found[2])


def _statements(script: str) -> Iterator[str]:
    """Parted as the worst of Hive's versions does it."""
    lines = "\n".join(line for line in script.split("\n") if not line.startswith("--"))
    for statement in lines.split(";"):
        if statement.strip():
            yield statement.strip()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

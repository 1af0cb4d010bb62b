"""The demo's SQL tasks, run in the order of their graph and checked against queries of the tests' own over the CSV."""

import duckdb
import pytest

from app.demo.flights import RECONCILIATION, TASKS, DemoTask, registered_tables
from app.domain.tasks import TaskType
from app.engines.base import WorkState
from app.engines.embedded.catalogue import Catalogue
from tests.engines.embedded.harness import Result, Runner, make_engine

SQL_TASKS = [task for task in TASKS if task.type is not TaskType.PYSPARK]


@pytest.fixture(scope="module")
async def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Every SQL task's result, by name."""
    folder = tmp_path_factory.mktemp("flights")
    catalogue = Catalogue(root=folder / "catalogue", registered=registered_tables(folder / "data"))
    catalogue.prepare()
    engine = make_engine(catalogue, folder / "scratch")
    run = Runner(engine, folder)
    results = {}
    for task in SQL_TASKS:
        assert set(task.parents) <= results.keys(), "the list is in an order that can run"
        results[task.name] = await run(task.type, task.query)
    await engine.close()
    return results


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The CSV files in DuckDB, without the platform."""
    connection = duckdb.connect()
    for name, table in registered_tables(tmp_path_factory.mktemp("oracle")).items():
        connection.execute(
            f"CREATE TABLE {name} AS SELECT * FROM read_csv(?, nullstr = ['NA', ''], header = true, sample_size = -1)",
            [str(table.path)],
        )
    return connection


def texts(rows: list[tuple]) -> list[tuple[str, ...]]:
    return [tuple("" if cell is None else str(cell) for cell in row) for row in rows]


@pytest.mark.parametrize("task", SQL_TASKS, ids=lambda task: task.name)
def test_every_task_succeeds_with_rows(results: dict[str, Result], task: DemoTask):
    result = results[task.name]
    assert result.state is WorkState.SUCCEEDED, result.message
    assert result.row_count == len(result.rows) > 0


def test_departures_counts_every_flight_of_each_month(results, oracle):
    expected = oracle.execute(
        "SELECT printf('2013-%02d', month), count(*), count(*) FILTER (dep_time IS NULL) FROM flights GROUP BY month "
        "ORDER BY month"
    ).fetchall()
    assert [row[:3] for row in results["Departures"].rows] == texts(expected)
    assert sum(int(row[1]) for row in results["Departures"].rows) == 336_776


def test_hive_leaves_cancelled_flights_out_of_the_average(results, oracle):
    expected = oracle.execute(
        "SELECT carrier, make_date(year, month, day) AS d, count(*), coalesce(sum(greatest(dep_delay, 0)), 0)::BIGINT, "
        "round(avg(dep_delay), 2) FROM flights GROUP BY ALL ORDER BY carrier, d"
    ).fetchall()
    assert results["Daily delays (Hive)"].rows == texts(expected)


def test_presto_counts_cancelled_flights_as_on_time(results, oracle):
    expected = oracle.execute(
        "SELECT carrier, make_date(year, month, day) AS d, count(*), coalesce(sum(greatest(dep_delay, 0)), 0)::BIGINT, "
        "round(sum(coalesce(dep_delay, 0)) / count(*), 2) FROM flights GROUP BY ALL ORDER BY carrier, d"
    ).fetchall()
    assert results["Daily delays (Presto)"].rows == texts(expected)


def test_the_reconciliation_differs_only_in_the_average_and_only_on_days_with_cancellations(results, oracle):
    left = {row[:2]: row[2:] for row in results[RECONCILIATION.left_task].rows}
    right = {row[:2]: row[2:] for row in results[RECONCILIATION.right_task].rows}
    assert left.keys() == right.keys()
    changed = {key for key, cells in left.items() if cells != right[key]}
    assert {key for key in left if left[key][:2] != right[key][:2]} == set()
    with_cancelled = oracle.execute(
        "SELECT DISTINCT carrier, make_date(year, month, day)::VARCHAR FROM flights WHERE dep_time IS NULL"
    ).fetchall()
    assert changed <= set(with_cancelled)
    assert 1000 < len(changed) < len(left)
    assert set(RECONCILIATION.keys) <= {name for name, _ in RECONCILIATION.mapping}
    for position, task in enumerate((RECONCILIATION.left_task, RECONCILIATION.right_task)):
        assert {pair[position] for pair in RECONCILIATION.mapping} <= set(results[task].labels)


def test_percentiles_are_exact_and_one_row_each(results, oracle):
    expected = [
        (origin, str(count), name, str(minutes))
        for origin, count, values in oracle.execute(
            "SELECT origin, count(arr_delay), quantile_disc(arr_delay, [0.5, 0.9, 0.99]) FROM flights "
            "GROUP BY origin ORDER BY origin"
        ).fetchall()
        for name, minutes in zip(("half", "nine in ten", "ninety-nine in a hundred"), values, strict=True)
    ]
    assert results["Delay percentiles"].rows == expected


def test_delays_by_kind_roll_up_to_all_flights(results, oracle):
    rows = {row[:3]: row[3:] for row in results["Delays by kind"].rows}
    both, departures = oracle.execute(
        "SELECT count(dep_delay) + count(arr_delay), count(dep_delay) FILTER (origin = 'JFK') FROM flights "
        "WHERE dep_time IS NOT NULL"
    ).fetchone()
    assert rows["", "", "3"][0] == str(both)
    assert rows["JFK", "departure", "0"][0] == str(departures)
    assert len(rows) == 1 + 3 + 6


def test_storm_hours_are_the_windiest_ones(results, oracle):
    expected = oracle.execute(
        "SELECT origin, time_hour::TIMESTAMP::VARCHAR FROM weather WHERE wind_speed < 200 QUALIFY row_number() OVER "
        "(PARTITION BY origin ORDER BY wind_speed DESC, time_hour) <= 20"
    ).fetchall()
    rows = results["Storm hours"].rows
    assert {(row[0], row[2]) for row in rows} == set(expected)
    assert all(float(row[3]) < 200 for row in rows)


def test_departures_in_storms_counts_each_departure_once(results):
    rows = results["Departures in storms"].rows
    assert sum(int(row[2]) for row in rows) == 336_776
    assert {row[:2] for row in rows} == {
        (origin, kind) for origin in ("EWR", "JFK", "LGA") for kind in ("calm", "storm")
    }
    late = {row[:2]: float(row[3]) for row in rows}
    assert all(late[origin, "storm"] > late[origin, "calm"] for origin in ("EWR", "JFK", "LGA"))


def test_knock_on_delays_follow_the_aircraft_within_its_day(results, oracle):
    expected = oracle.execute(
        "WITH legs AS (SELECT carrier, dep_delay, lag(arr_delay) OVER (PARTITION BY tailnum, year, month, day "
        "ORDER BY sched_dep_time) AS inbound FROM flights WHERE tailnum IS NOT NULL AND dep_time IS NOT NULL) "
        "SELECT carrier, count(*) FROM legs WHERE inbound IS NOT NULL GROUP BY carrier HAVING count(*) >= 50"
    ).fetchall()
    rows = results["Knock-on delays"].rows
    assert {row[:2] for row in rows} == set(texts(expected))
    assert [int(row[4]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(float(row[2]) > float(row[3]) for row in rows)


def test_fleet_groups_models_by_their_family(results, oracle):
    expected = oracle.execute(
        "SELECT string_split(model, '-')[1] AS f, count(*) AS n FROM planes GROUP BY f HAVING n >= 10 "
        "ORDER BY n DESC, f"
    ).fetchall()
    rows = results["Fleet"].rows
    assert [(row[0], row[2]) for row in rows] == texts(expected)
    makers = {row[0]: row[1] for row in rows}
    assert makers["CL"] == "BOMBARDIER, CANADAIR"


def test_scorecard_adds_up_to_all_flights(results, oracle):
    rows = results["Carrier scorecard"].rows
    assert sum(int(row[2]) for row in rows) == 336_776
    expected = oracle.execute(
        "SELECT a.name, 'Q' || quarter(make_date(year, month, day)), "
        "round(sum(greatest(dep_delay, 0)) / count(*), 2)::DECIMAL(10, 2) "
        "FROM flights JOIN airlines a USING (carrier) GROUP BY ALL"
    ).fetchall()
    minutes = {(row[0], row[1].removeprefix("2013 ")): row[3] for row in rows}
    assert minutes == {(name, quarter): str(value) for name, quarter, value in expected}
    assert {row[5] for row in rows if row[0] == "United Air Lines Inc."} == {"6"}


def test_every_kind_of_task_is_shown_and_one_has_two_parents():
    assert {task.type for task in TASKS} == set(TaskType)
    assert max(len(task.parents) for task in TASKS) == 2
    assert len({task.name for task in TASKS}) == len(TASKS)
    for task in TASKS:
        assert task.query.strip()

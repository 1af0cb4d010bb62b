"""One look at an output: what each kind of check counts, the same in CSV and Parquet, and what it cannot reach."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.checks.results import Measure
from app.domain.checks.rules import RowCount, Rule, Sql, Unique, rule_of
from app.domain.outputs import OutputColumn, OutputFormat, StoredOutput
from app.outputs.check_syntax import problem_of
from app.outputs.inspection import Inspection, InspectionStoppedError
from app.outputs.local import LocalOutputStore
from tests.domain.checks.test_rules import check
from tests.outputs.stored_files import files, written

FORMATS = list(OutputFormat)
TEXTS = [None, "", "a", "a", "A", " a ", "line\nbreak", '"', "1,5", "ä"]


def column(name: str, type_: str = "VARCHAR") -> OutputColumn:
    return OutputColumn(name=name, type=type_)


def inspected(store: LocalOutputStore, stored: StoredOutput, *rules: Rule) -> list[Measure]:
    path = store.local_path(stored.location)
    assert path is not None
    return Inspection(path=path, output=stored, spill_dir=path.parent).run(rules)


async def looked_at(
    store: LocalOutputStore, cells: Sequence[Any], *rules: Rule, type_: str = "VARCHAR", **values: Any
) -> list[Measure]:
    """At one column `x` of these cells."""
    stored = await written(store, [(cell,) for cell in cells], columns=[column("x", type_)], **values)
    return inspected(store, stored, *rules)


def rule(kind: str, name: str | None = "x", **arguments: Any) -> Rule:
    return rule_of(check(kind, name, **arguments))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("asked", "failing", "example"),
    [
        (rule("NOT_NULL"), 1, None),
        (rule("UNIQUE"), 1, None),
        (rule("ACCEPTED_VALUES", values=["a", "", "line\nbreak", '"', "1,5", "ä"]), 2, " a "),
        (rule("MATCHES", pattern="[aA]|"), 5, " a "),
        (rule("MATCHES", pattern="(?s).*"), 0, None),
        (rule("MATCHES", pattern="(?i)a"), 6, ""),
        (rule("MATCHES", pattern="it's"), 9, ""),
        (rule("RANGE", min=0), 9, ""),
    ],
)
async def test_null_passes_all_but_not_null_and_the_empty_text_is_a_value(
    store: LocalOutputStore, asked: Rule, failing: int, example: str | None, format_: OutputFormat
) -> None:
    assert await looked_at(store, TEXTS, asked, format=format_) == [Measure(failing=failing, example=example)]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("cells", "type_", "bounds", "failing"),
    [
        ([0, 5, 10, None], "INTEGER", {"min": 0, "max": 10}, 0),
        ([-1, 11], "INTEGER", {"min": 0, "max": 10}, 2),
        (["1e3", "+5", "nan", "x", "0x10", "inf"], "VARCHAR", {"min": 0}, 3),
        (["inf", "-inf"], "VARCHAR", {"max": 0}, 1),
        (["9007199254740993"], "BIGINT", {"max": 9007199254740992}, 1),
        (["0.1", "0.1000000001"], "DECIMAL(12,10)", {"min": 0.1, "max": 0.1}, 1),
        (["1" + "0" * 40], "VARCHAR", {"max": 1e39}, 1),
        (["true"], "BOOLEAN", {"min": 0}, 1),
        (["2026-01-05", "2026-01-04", "noon", "infinity", None], "VARCHAR", {"min": "2026-01-05"}, 3),
        (["2026-01-05 00:30:00+01:00", "2026-01-05T00:30:00Z"], "VARCHAR", {"min": "2026-01-05"}, 1),
        (["2026-01-05 09:30:00"], "TIMESTAMP", {"min": "2026-01-05T09:30:00", "max": "2026-01-05T09:30:00"}, 0),
        (["2026-01-05 09:30:00.000001"], "TIMESTAMP", {"max": "2026-01-05T09:30:00"}, 1),
    ],
)
async def test_both_ends_belong_to_a_range_to_the_last_digit(
    store: LocalOutputStore,
    cells: list[Any],
    type_: str,
    bounds: dict[str, Any],
    failing: int,
    format_: OutputFormat,
) -> None:
    (measure,) = await looked_at(store, cells, rule("RANGE", **bounds), type_=type_, format=format_)
    assert measure.failing == failing


@pytest.mark.parametrize("format_", FORMATS)
async def test_the_newest_moment_is_found_among_what_is_none(store: LocalOutputStore, format_: OutputFormat) -> None:
    cells = ["2026-01-05", "soon", None, "2026-01-05 23:00:00-02:00", "infinity", "99999-01-01", "2026-01-05 23:59:59"]
    asked = rule("FRESHNESS", maxAge="P1D")
    (measure,) = await looked_at(store, cells, asked, format=format_)
    assert measure.newest == datetime(2026, 1, 6, 1, tzinfo=UTC)
    assert await looked_at(store, ["soon"], asked, format=format_) == [Measure()]


@pytest.mark.parametrize("format_", FORMATS)
async def test_several_columns_are_unique_together(store: LocalOutputStore, format_: OutputFormat) -> None:
    rows = [("a", "b"), ("a", "b"), ("a", "b"), ("ab", ""), ("a", None), ("a", None), (None, None), ("", "ab")]
    stored = await written(store, rows, columns=[column("x"), column("y")], format=format_)
    asked = [Unique(columns=("x", "y")), Unique(columns=("y",))]
    assert [each.failing for each in inspected(store, stored, *asked)] == [2, 2]


@pytest.mark.parametrize("format_", FORMATS)
async def test_sql_finds_rows_of_a_table_with_the_types_of_the_output(
    store: LocalOutputStore, format_: OutputFormat
) -> None:
    columns = [column("n", "INTEGER"), column("odd", "INTEGER"), column("n", "DATE"), column('it\'s "x"')]
    stored = await written(store, [(10, "ten", "2026-01-05", None), (9, 9, None, "")], columns=columns, format=format_)
    queries = {
        "SELECT * FROM output WHERE n < 10": 1,
        "FROM output WHERE \"n_2\" >= DATE '2026-01-05'; -- dates": 1,
        "WITH t AS (SELECT odd FROM output) SELECT odd FROM t WHERE odd = 'ten'": 1,
        'SELECT 1 FROM output WHERE "it\'s ""x""" IS NULL': 1,
        "SELECT n FROM output GROUP BY n HAVING count(*) > 1": 0,
    }
    measures = inspected(store, stored, *(Sql(query=query) for query in queries))
    assert measures == [Measure(failing=count) for count in queries.values()]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/*')",
        "COPY output TO '{folder}/stolen.csv'",
        "ATTACH '{folder}/new.db'",
        "INSTALL httpfs",
        "SET memory_limit = '1TB'",
        "SELECT 1; DROP VIEW output",
        "SELECT nothing FROM output",
        "SELECT",
    ],
)
async def test_a_query_reaches_nothing_but_the_output_and_what_fails_says_so(
    store: LocalOutputStore, tmp_path: Path, query: str
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    query = query.format(other=other, folder=tmp_path)
    bad, good = await looked_at(store, [1], Sql(query=query), Sql(query="FROM output"))
    assert bad.problem
    assert "\n" not in bad.problem
    assert good == Measure(failing=1)
    assert sorted(path.name for path in files(tmp_path)) == ["other.csv", "output.csv"]


@pytest.mark.parametrize("format_", FORMATS)
async def test_a_column_that_is_not_there_or_comes_twice_is_named(
    store: LocalOutputStore, format_: OutputFormat
) -> None:
    columns = [column("a"), column("b"), column("a")]
    stored = await written(store, [(1, None, 3)], columns=columns, format=format_)
    none, case, twice, fine = inspected(
        store, stored, rule("NOT_NULL", "c"), rule("NOT_NULL", "B"), rule("UNIQUE", "a"), rule("NOT_NULL", "b")
    )
    assert none.problem == "The output has no column «c»; it has: a, b, a."
    assert case.problem
    assert twice.problem is not None
    assert twice.problem.startswith("The output has 2 columns named «a»")
    assert fine == Measure(failing=1)


@pytest.mark.parametrize("format_", FORMATS)
async def test_an_output_without_rows_or_columns_fails_nothing_that_counts_rows(
    store: LocalOutputStore, format_: OutputFormat
) -> None:
    asked = [rule("NOT_NULL"), rule("UNIQUE"), rule("RANGE", min=1), Sql(query="FROM output WHERE x > 5")]
    assert await looked_at(store, [], *asked, type_="INTEGER", format=format_) == [Measure()] * 4
    stored = await written(store, [], columns=[], format=format_)
    problems = [each.problem for each in inspected(store, stored, *asked[:1], asked[3])]
    assert problems == ["The output has no column «x»; it has: none.", "The output has no columns."]


async def test_any_delimiter_of_an_output_is_read(store: LocalOutputStore) -> None:
    stored = await written(store, [("a\tb", None), ("", "x")], columns=[column("x"), column("y")], delimiter="\t")
    asked = [rule("ACCEPTED_VALUES", values=["a\tb", ""]), rule("NOT_NULL", "y")]
    assert [each.failing for each in inspected(store, stored, *asked)] == [0, 1]


async def test_a_file_that_cannot_be_read_fails_what_reads_it(store: LocalOutputStore) -> None:
    stored = await written(store, [("a",)], columns=[column("x")])
    path = store.local_path(stored.location)
    assert path is not None
    path.write_bytes(b'x\n"a"b,c,d\n"')
    counted, looked = inspected(store, stored, RowCount(low=1, high=None, max_change_percent=None), rule("NOT_NULL"))
    assert counted == Measure()
    assert looked.problem


async def test_a_look_that_nobody_wants_any_more_stops(store: LocalOutputStore) -> None:
    stored = await written(store, [("a",)], columns=[column("x")])
    path = store.local_path(stored.location)
    assert path is not None
    look = Inspection(path=path, output=stored, spill_dir=path.parent)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            look.run([Sql(query="SELECT 1 FROM range(10000000000000) t(n) WHERE n % 3 = 5")])
        except InspectionStoppedError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        look.interrupt()
        thread.join(0.02)
    assert len(ended) == 1


@pytest.mark.parametrize("pattern", ["a(", "(?=x)a", r"(a)\1", "[z-a]", "a{1,5000}"])
def test_a_pattern_that_re2_does_not_know_is_refused_with_the_reason(pattern: str) -> None:
    found = problem_of(rule("MATCHES", pattern=pattern))
    assert found is not None
    argument, problem = found
    assert argument == "pattern"
    assert problem.startswith("This is no regular expression as RE2 has it: ")


@pytest.mark.parametrize("query", ["", "SELEC 1", "SELECT 1; SELECT 2", "DROP TABLE output", "PRAGMA version", "-- x"])
def test_a_query_that_is_not_one_select_is_refused(query: str) -> None:
    found = problem_of(Sql(query=query))
    assert found is not None
    assert found[0] == "query"


@pytest.mark.parametrize("asked", [rule("MATCHES", pattern=r"\p{Lu}+"), Sql(query="FROM output"), rule("NOT_NULL")])
def test_what_can_be_read_is_not_refused(asked: Rule) -> None:
    assert problem_of(asked) is None

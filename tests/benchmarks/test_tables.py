"""The tables that comparisons are measured with: what is known of them is so."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.reconcile import CASES
from tests.benchmarks.tables import COLUMNS, KEY, Table, tables

ROWS = 3_000


def read(table: Table) -> list[dict[str, str]]:
    with table.path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=table.delimiter))
    for row in rows:
        row["quantity"] = row["quantity"].removesuffix(".0")
    return rows


def whole(rows: list[dict[str, str]]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(row[name] for name in (KEY, *COLUMNS)) for row in rows)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize("case", CASES)
def test_the_truth_is_what_a_count_of_the_rows_gives(cache: Path, case: str):
    made = tables(replace(CASES[case], rows=ROWS), cache)
    left, right = read(made.left), read(made.right)
    assert len(left) == ROWS
    common = whole(left) & whole(right)
    assert made.by_row.common == common.total()
    assert made.by_row.left_only == ROWS - common.total()
    assert made.by_row.right_only == len(right) - common.total()
    if made.by_key is None:
        return
    lefts, rights = ({row[KEY]: row for row in rows} for rows in (left, right))
    assert len(lefts) == len(left)
    pairs = [(lefts[key], rights[key]) for key in lefts.keys() & rights.keys()]
    assert made.by_key.changed == sum(one != other for one, other in pairs)
    assert made.by_key.left_only == len(lefts.keys() - rights.keys())
    assert made.by_key.right_only == len(rights.keys() - lefts.keys())
    assert made.by_key.columns == {name: sum(one[name] != other[name] for one, other in pairs) for name in COLUMNS}


def test_a_seed_gives_the_same_tables_and_another_one_others(cache: Path, tmp_path: Path):
    pair = replace(CASES["shuffled-50"], rows=ROWS)
    made, again = tables(pair, cache).right.path.read_bytes(), tables(pair, tmp_path).right.path.read_bytes()
    assert made == again
    assert tables(replace(pair, seed=2), tmp_path).right.path.read_bytes() != made


def test_tables_that_are_there_are_not_made_again(cache: Path):
    pair = replace(CASES["identical"], rows=ROWS)
    made = tables(pair, cache)
    before = made.right.path.stat().st_mtime_ns
    assert tables(pair, cache) == made
    assert made.right.path.stat().st_mtime_ns == before


def test_rows_in_order_are_sorted_by_the_key_on_both_sides(cache: Path):
    made = tables(replace(CASES["ordered-50"], rows=ROWS), cache)
    for table in (made.left, made.right):
        keys = [int(row[KEY]) for row in read(table)]
        assert keys == sorted(keys)

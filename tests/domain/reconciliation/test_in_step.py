"""Sides in the same order are walked along in step, and only those: whatever was told in vain is taken back."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.reconciliation import large
from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.in_step import InStepComparison
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import MalformedError
from app.domain.reconciliation.result import ReconciliationResult, RowDifference
from tests.domain.reconciliation.reconciliation_oracle import pairs_of, run, side_of

BLOCKS = Thresholds(block_bytes=256)
BLOOM = ReconciliationOptions(method=ReconciliationMethod.BLOOM)
EXACT = ReconciliationOptions(method=ReconciliationMethod.EXACT)


class Walks:
    """How each walk ended, and no other way was taken where one was well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ended: list[bool] = []
        walks = self

        class Watched(InStepComparison):
            def run(self) -> bool:
                walks.ended.append(super().run())
                return walks.ended[-1]

        monkeypatch.setattr(large, "InStepComparison", Watched)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Walks:
    return Walks(monkeypatch)


def table(rows: Sequence[tuple[object, ...]]) -> str:
    return "k,n,v\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def answers(
    left: str, right: str, keys: tuple[str, ...], folder: Path, **options: float
) -> list[tuple[ReconciliationResult, list[RowDifference]]]:
    """Of the exact method and of the large one, fit to be compared."""
    found = []
    for each in (EXACT, BLOOM):
        sides = side_of(left), side_of(right, name="Right")
        result, rows = run(
            *sides, pairs_of("k", "n", "v", keys=keys), replace(each, **options), spill_dir=folder, thresholds=BLOCKS
        )
        found.append((replace(result, method=ReconciliationMethod.EXACT), sorted(rows, key=repr)))
    return found


ROWS = [(n, n % 7, f"text {n}") for n in range(2000)]


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        pytest.param(("k",), ROWS, id="integers"),
        pytest.param((), ROWS, id="no keys"),
        pytest.param(("k",), [(f"customer {n:05}", n, n) for n in range(2000)], id="texts"),
        pytest.param(("k",), [(f"{n / 4}", n, n) for n in range(2000)], id="decimals"),
        pytest.param(("k",), [("", 0, 0), (-5, 0, 0), *ROWS, ("a", 1, 1), ("b", 1, 1)], id="NULL, numbers, texts"),
        pytest.param(("k", "n"), [(n // 10, n % 10, n) for n in range(2000)], id="two columns"),
        pytest.param(("k",), ROWS[::-1], id="descending"),
        pytest.param((), ROWS[::-1], id="descending, no keys"),
        pytest.param(("k",), [("b", 1, 1), ("a", 1, 1), *ROWS[::-1], (-5, 0, 0), ("", 0, 0)], id="texts to NULL"),
        pytest.param(("v",), [(n, 1, f'"one ""{n:05}""\nand, more"') for n in range(2000)], id="quotes"),
    ],
)
def test_what_is_in_order_is_compared_in_one_walk(keys: tuple[str, ...], rows: list, walks: Walks, tmp_path: Path):
    others = [(k, f"{n}.0" if place % 5 == 0 else n, v) for place, (k, n, v) in enumerate(rows) if place % 11]
    if "n" not in keys:
        others[::13] = [(k, 999, v) for k, _, v in others[::13]]
    exact, large_ = answers(table(rows), table(others), keys, tmp_path)
    assert large_ == exact
    assert walks.ended == [True]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([*ROWS, (5, 5, "late")], id="a key comes late"),
        pytest.param([*ROWS, (1999, 5, "again")], id="a key stands twice"),
        pytest.param([*ROWS[:1500], *reversed(ROWS[1500:])], id="the order turns"),
    ],
)
@pytest.mark.parametrize("step", [1, -1], ids=["ascending", "descending"])
@pytest.mark.parametrize("on_left", [True, False])
def test_where_the_order_ends_all_is_taken_back(
    *, broken: list, step: int, on_left: bool, walks: Walks, tmp_path: Path
):
    broken = broken if step > 0 else [(2000 - k, n, v) for k, n, v in broken]
    whole = [(k, n, f"{v} changed" if k % 9 == 0 else v) for k, n, v in ROWS][::step]
    tables = [table(broken), table(whole)]
    exact, large_ = answers(*(tables if on_left else reversed(tables)), ("k",), tmp_path)
    assert large_ == exact
    assert walks.ended == [False]


def test_what_is_not_in_order_is_not_walked_along(walks: Walks, tmp_path: Path):
    exact, large_ = answers(table(ROWS), table(ROWS[::-1]), ("k",), tmp_path)
    assert large_ == exact
    assert walks.ended == []


def test_rows_within_a_tolerance_are_not_sought_at_one_place_of_the_order(walks: Walks, tmp_path: Path):
    near = [(f"{k + 0.4}", n, v) for k, n, v in ROWS]
    exact, large_ = answers(table(ROWS), table(near), (), tmp_path, absolute_tolerance=0.5)
    assert large_ == exact
    assert exact[0].common_row_count == 2000
    assert walks.ended == []


def test_a_broken_table_is_refused_in_the_usual_words(walks: Walks, tmp_path: Path):
    refusals = []
    for options in (EXACT, BLOOM):
        sides = side_of(table(ROWS) + "1,2\n"), side_of(table(ROWS), name="Right")
        with pytest.raises(MalformedError, match="line 2002") as caught:
            run(*sides, pairs_of("k", "n", "v", keys=("k",)), options, spill_dir=tmp_path, thresholds=BLOCKS)
        refusals.append(str(caught.value))
    assert refusals[0] == refusals[1]
    assert walks.ended == [False]


@pytest.mark.parametrize("rewinds", [True, False])
def test_the_table_of_differences_has_each_once(*, rewinds: bool, walks: Walks, tmp_path: Path):
    """What is written into a pipe cannot be taken back: nothing is begun there that may have to be."""
    left, right = table([*ROWS, (5, 5, "late")]), table(ROWS[1:])
    written = io.BytesIO()

    def empty() -> None:
        written.seek(0)
        written.truncate()

    mapping = pairs_of("k", "n", "v", keys=("k",))
    sink = DifferencesTable(mapping=mapping, write=written.write, rewind=empty if rewinds else None)
    compare(side_of(left), side_of(right), mapping, BLOOM, thresholds=BLOCKS, spill_dir=tmp_path, differences=sink)
    sink.finish()
    header, *lines = written.getvalue().decode().splitlines()
    assert header.startswith("kind,rows,")
    assert sorted(lines) == ["LEFT_ONLY,1,1,0,,0,0,,text 0,", "LEFT_ONLY,1,2,1,,5,5,,late,"]
    assert sink.row_count == 2
    assert walks.ended == ([False] if rewinds else [])

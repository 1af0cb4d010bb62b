"""Every method gives the brute-force answer, for every pair of tables that hypothesis can think of."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.reconciliation.cells import CanonicalCells, order_of
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions
from app.domain.reconciliation.result import DifferenceKind, RowDifference
from tests.domain.reconciliation.reconciliation_oracle import (
    GATHERED,
    HELD,
    IN_STEP,
    NUMBERS,
    OTHERS,
    READ_AGAIN,
    TEXTS,
    Oracle,
    Row,
    pairs_of,
    run,
    run_as_job,
    seen_as_values,
    side_of,
)

many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

few_cells = st.sampled_from([None, "", "a", "0", "0.1", "0.15", "0.2", "1", "1.0"])
cells = st.one_of(few_cells, st.none(), st.sampled_from([*NUMBERS, *OTHERS, *TEXTS]))


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, list[Row], list[Row], list[int]]:
    """The number of columns, two tables that share many rows, and the places of the keys."""
    width = draw(st.integers(1, 4))
    rows = st.tuples(*[draw(st.sampled_from([few_cells, cells])) for _ in range(width)])
    shared = draw(st.lists(rows, max_size=6))
    left = draw(st.permutations(shared + draw(st.lists(rows, max_size=6))))
    right = draw(st.permutations(shared + draw(st.lists(rows, max_size=6))))
    keys = sorted(draw(st.sets(st.integers(0, width - 1), max_size=width)))
    if draw(st.booleans()):
        step = draw(st.sampled_from([1, -1]))
        left, right = (in_order(side, keys or [0])[::step] for side in (left, right))
    return width, left, right, keys


def in_order(rows: list[Row], places: list[int]) -> list[Row]:
    """The rows by some cells, of equal ones the first alone; mostly, for the options may make other values of them."""
    canonical = CanonicalCells(trim=False, empty_is_null=False, ignore_case=False)
    found = {tuple(order_of(canonical[row[place]]) for place in places): row for row in reversed(rows)}
    return [found[order] for order in sorted(found)]


@st.composite
def writings(draw: st.DrawFn) -> Callable[[list[str], list[Row]], tuple[bytes, str]]:
    """A dialect: delimiter, line break, byte order mark, how much is quoted, whether the last line is ended."""
    delimiter = draw(st.sampled_from([",", "\t", "|", ";", "\x01"]))
    line_break = draw(st.sampled_from(["\n", "\r\n"]))
    quote_all = draw(st.booleans())
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    ended = draw(st.booleans())

    def cell(text: str | None) -> str:
        if text is None:
            return ""
        if quote_all or not text or any(character in text for character in (delimiter, '"', "\n", "\r")):
            return '"' + text.replace('"', '""') + '"'
        return text

    def write(header: list[str], rows: list[Row]) -> tuple[bytes, str]:
        lines = [delimiter.join(cell(text) for text in row) for row in [header, *rows]]
        end = line_break if ended or not lines[-1] else ""  # without its line break an empty last line is no line
        return mark + (line_break.join(lines) + end).encode(), delimiter

    return write


option_sets = st.builds(
    ReconciliationOptions,
    absolute_tolerance=st.sampled_from([0.0, 0.0, 0.05, 0.1]),
    relative_tolerance=st.sampled_from([0.0, 0.0, 0.01, 0.5]),
    ignore_case=st.booleans(),
    trim=st.booleans(),
    empty_is_null=st.booleans(),
)


@many
@given(table=tables(), options=option_sets, left_dialect=writings(), right_dialect=writings(), data=st.data())
def test_every_method_gives_the_brute_force_answer(
    *, tmp_path: Path, table, options: ReconciliationOptions, left_dialect, right_dialect, data: st.DataObject
) -> None:
    width, lefts, rights, keys = table
    # On the right: other names, another order, and a column more that nobody mapped.
    order = data.draw(st.permutations(range(width)))
    left_content, left_delimiter = left_dialect([f"c{place}" for place in range(width)], lefts)
    right_content, right_delimiter = right_dialect(
        ["other", *(f"d{place}" for place in order)],
        [("z", *(row[place] for place in order)) for row in rights],
    )
    mapping = tuple(ColumnMapping(left=f"c{i}", right=f"d{i}", key=i in keys) for i in range(width))
    left = side_of(left_content, delimiter=left_delimiter)
    right = side_of(right_content, delimiter=right_delimiter, name="Right")

    expected = Oracle(lefts, rights, keys, options).answer()
    limit = data.draw(st.sampled_from([1, 3, 100]))
    answers = [
        run(left, right, mapping, replace(options, method=method), spill_dir=tmp_path, sample_limit=limit)
        for method in ReconciliationMethod
    ]
    bloom = replace(options, method=ReconciliationMethod.BLOOM)
    answers += [
        run(left, right, mapping, bloom, spill_dir=tmp_path, sample_limit=limit, thresholds=thresholds)
        for thresholds in (READ_AGAIN, GATHERED, IN_STEP)
    ]
    answers.append(run_as_job(left, right, mapping, options, sample_limit=limit))
    for result, found in answers:
        counts = {
            DifferenceKind.COMMON: result.common_row_count,
            DifferenceKind.CHANGED: result.changed_row_count,
            DifferenceKind.LEFT_ONLY: result.left_only_row_count,
            DifferenceKind.RIGHT_ONLY: result.right_only_row_count,
        }
        assert counts == expected.counts
        assert seen_as_values(found, options) == expected.differing
        assert result.left_row_count == len(lefts) == counts["COMMON"] + counts["CHANGED"] + counts["LEFT_ONLY"]
        assert result.right_row_count == len(rights) == counts["COMMON"] + counts["CHANGED"] + counts["RIGHT_ONLY"]
        assert result.matched == (lefts == [] == rights or result.differing_row_count == 0)
        if keys:
            stated = {
                column.left: (column.differing_row_count, column.max_absolute_difference) for column in result.columns
            }
            wanted = {f"c{i}": expected.columns.get(i, (0, None)) for i in range(width) if i not in keys}
            assert stated.keys() == wanted.keys()
            for name, (count, furthest) in wanted.items():
                assert stated[name] == (count, None if furthest is None else pytest.approx(furthest))
    exact, *others = (replace(result, method=ReconciliationMethod.EXACT) for result, _ in answers)
    assert [exact] * len(others) == others, "the methods must agree in samples and warnings too"
    assert list(tmp_path.iterdir()) == []


@many
@given(table=tables(), options=option_sets, data=st.data())
def test_the_order_of_the_files_changes_no_count_and_no_difference(
    tmp_path: Path, table, options: ReconciliationOptions, data: st.DataObject
) -> None:
    width, lefts, rights, keys = table
    names = [f"c{place}" for place in range(width)]
    mapping = pairs_of(*names, keys=tuple(names[place] for place in keys))
    sample_limit = data.draw(st.integers(0, 4))
    answers = []
    for first, second in ((lefts, rights), (data.draw(st.permutations(lefts)), data.draw(st.permutations(rights)))):
        sides = [side_of(csv_of(names, rows), name="A side") for rows in (first, second)]
        way = replace(options, method=data.draw(st.sampled_from(ReconciliationMethod)))
        thresholds = data.draw(st.sampled_from([HELD, READ_AGAIN, GATHERED, IN_STEP]))
        result, found = run(*sides, mapping, way, spill_dir=tmp_path, sample_limit=sample_limit, thresholds=thresholds)
        samples = {
            kind: [seen_as_values([row], options) for row in result.samples[kind]]
            for kind in DifferenceKind
            if kind is not DifferenceKind.COMMON  # these are the first of the left file
        }
        oracle = Oracle(first, second, keys, options)
        assert samples == {kind: lowest(found, kind, oracle, sample_limit) for kind in samples}
        answers.append((seen_as_values(found, options), samples, result.columns, result.warnings))
    assert answers[0] == answers[1]


numbered_rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400)), min_size=120, max_size=160)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lefts=numbered_rows, rights=numbered_rows, keyed=st.booleans(), word_every=st.sampled_from([2, 7, 1000]))
def test_large_groups_pair_within_a_tolerance_as_the_brute_force_does(
    *, tmp_path: Path, lefts, rights, keyed: bool, word_every: int
) -> None:
    """More than `COMPARED_PAIRS` combinations: rows are found by an index in place of trying them all."""

    def cell(number: int) -> str:
        return f"{number / 100}" if number % word_every else f"word {number}"

    written = [[(str(group), cell(number)) for group, number in rows] for rows in (lefts, rights)]
    options = ReconciliationOptions(absolute_tolerance=0.02, relative_tolerance=0.001)
    oracle = Oracle([], [], [0] if keyed else [], options)
    oracle.lefts, oracle.rights = (
        [tuple((2, text) if "word" in text else (1, Fraction(text)) for text in row) for row in rows]
        for rows in written
    )
    expected = oracle.answer()
    sides = [side_of(csv_of(["g", "n"], rows), name="A side") for rows in written]
    result, found = run(*sides, pairs_of("g", "n", keys=("g",) if keyed else ()), options, spill_dir=tmp_path)
    assert result.common_row_count == expected.counts[DifferenceKind.COMMON]
    assert result.changed_row_count == expected.counts[DifferenceKind.CHANGED]
    assert sum(row.rows for row in found) == result.differing_row_count
    assert all(row.rows > 0 for row in found)


def lowest(found: list[RowDifference], kind: DifferenceKind, oracle: Oracle, limit: int) -> list[object]:
    """The lowest differences of a kind, by the keys' cells and then the others', left before right."""

    def order(entry: tuple[object, ...]) -> list[object]:
        rows = [row for row in entry[1:3] if row is not None]
        places = sorted(range(len(rows[0])), key=lambda place: place not in oracle.keys)
        return [row[place] for row in rows for place in places]

    entries = seen_as_values([row for row in found if row.kind is kind], oracle.options)
    return [Counter({entry: entries[entry]}) for entry in sorted(entries, key=order)[:limit]]


def csv_of(names: list[str], rows: list[Row]) -> str:
    def cell(text: str | None) -> str:
        return "" if text is None else '"' + text.replace('"', '""') + '"'

    return "".join(",".join(cell(text) for text in row) + "\n" for row in [names, *rows])


def both_methods(left: str, right: str, *, spill_dir: Path, **options: object) -> list[tuple[object, object]]:
    answers = []
    for method in ReconciliationMethod:
        result, found = run(
            side_of(left),
            side_of(right, name="Right"),
            pairs_of("k", "v", keys=("k",)),
            ReconciliationOptions(method=method, **options),
            spill_dir=spill_dir,
        )
        differences = sorted(
            (row.kind, row.rows, row.left, row.right, row.left_count, row.right_count) for row in found
        )
        answers.append((replace(result, method=ReconciliationMethod.EXACT), differences))
    return answers


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param({n: n for n in range(50)}, {n: n + (n == 7) for n in reversed(range(50))}, id="few lines differ"),
        pytest.param(
            {n: n for n in range(50)}, {n: f"{n}.0" for n in range(50)}, id="all lines differ and no row does"
        ),
        pytest.param({n: n for n in range(50)}, {n: f"{n}.{n % 2}" for n in range(50)}, id="and some rows do"),
        pytest.param({n: n for n in range(50)}, {f"{n}.00": n for n in range(3, 53)}, id="keys are written otherwise"),
        pytest.param(
            dict.fromkeys(range(50), '"a\nb"'), {n: '"a\nb"' if n else '"a,b"' for n in range(50)}, id="quotes"
        ),
    ],
)
def test_lines_tell_rows_apart_as_their_cells_do(left: dict, right: dict, tmp_path: Path) -> None:
    tables = ["k,v\n" + "".join(f"{key},{value}\n" for key, value in table.items()) for table in (left, right)]
    exact, bloom = both_methods(*tables, spill_dir=tmp_path)
    assert exact == bloom


def test_where_a_key_stands_twice_its_rows_are_told_apart_by_their_cells(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}\n" for n in range(50))
    exact, bloom = both_methods(f"k,v\n{rows}7,7.0\n7,8\n", f"k,v\n7,7\n{rows}", spill_dir=tmp_path)
    assert exact == bloom
    assert exact[0].common_row_count == 51

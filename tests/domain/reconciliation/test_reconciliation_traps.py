"""Mistakes that reconciliations are known for, each by hand, and each by both methods."""

from itertools import chain, repeat
from pathlib import Path

import pytest

from app.domain.errors import InvalidError, UnavailableError
from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import MalformedError, Side
from app.domain.reconciliation.result import DifferenceKind, ReconciliationResult
from tests.domain.reconciliation.reconciliation_oracle import READ_AGAIN, pairs_of, run, side_of

BOTH = [ReconciliationOptions(method=method) for method in ReconciliationMethod]
both_methods = pytest.mark.parametrize("options", BOTH, ids=["exact", "bloom"])


def counts(result: ReconciliationResult) -> tuple[int, int, int, int]:
    return (
        result.common_row_count,
        result.changed_row_count,
        result.left_only_row_count,
        result.right_only_row_count,
    )


@both_methods
def test_disjoint_tab_separated_outputs_do_not_match(options: ReconciliationOptions, tmp_path: Path) -> None:
    left, right = "id\tname\n1\ta\n2\tb\n", "id\tname\n3\tc\n4\td\n"
    tabs = [side_of(text, delimiter="\t") for text in (left, right)]
    result, _ = run(*tabs, pairs_of("id", "name"), options, spill_dir=tmp_path)
    assert counts(result) == (0, 0, 2, 2)
    with pytest.raises(InvalidError, match="another delimiter"):
        run(side_of(left), side_of(right), pairs_of("id", "name"), options, spill_dir=tmp_path)


@both_methods
def test_a_mapped_column_that_both_sides_lack_is_refused_not_equal(
    options: ReconciliationOptions, tmp_path: Path
) -> None:
    side = side_of("a,b\n1,2\n")
    with pytest.raises(InvalidError, match="Left has no column 'zip'") as caught:
        run(side, side, pairs_of("a", "zip"), options, spill_dir=tmp_path)
    assert caught.value.path == ("mapping", "1", "left")


@both_methods
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x|y,z", "x,y|z"),
        ("x\x00,y", "x,\x00y"),
        ("xy,", "x,y"),
        (",x", "x,"),
        ('"",x', ",x"),
        ("True,x", '"""true""",x'),
    ],
)
def test_cells_do_not_run_into_each_other(
    options: ReconciliationOptions, tmp_path: Path, left: str, right: str
) -> None:
    sides = side_of(f"a,b\n{left}\n"), side_of(f"a,b\n{right}\n")
    result, _ = run(*sides, pairs_of("a", "b"), options, spill_dir=tmp_path)
    assert counts(result) == (0, 0, 1, 1)
    result, _ = run(*sides, pairs_of("a", "b", keys=("a", "b")), options, spill_dir=tmp_path)
    assert counts(result) == (0, 0, 1, 1)


@pytest.mark.parametrize("held_bytes", [0, 1 << 20], ids=["read again", "held"])
@pytest.mark.parametrize("end", ["\n", ""], ids=["ended", "unended"])
def test_a_side_that_ends_with_a_block_has_no_row_behind_it(held_bytes: int, end: str, tmp_path: Path) -> None:
    """Of one column an empty line would be a row: it must not be made of an end that is there already."""
    thresholds = Thresholds(block_bytes=16, ordered_rows=0, held_bytes=held_bytes)
    for rows in range(1, 33):
        text = "n\n" + "\n".join(f"{row % 10}" for row in range(rows)) + end
        for options in BOTH:
            result, _ = run(
                side_of(text), side_of(text), pairs_of("n"), options, spill_dir=tmp_path, thresholds=thresholds
            )
            assert (*counts(result), result.right_row_count) == (rows, 0, 0, 0, rows)


@pytest.mark.parametrize("keys", [(), ("k",)], ids=["by row", "by key"])
@pytest.mark.parametrize("coincidences", [1, 3])
def test_where_the_hashes_of_different_rows_agree_all_begins_again(
    coincidences: int, keys: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told before the second hashes are seen to disagree is taken back."""
    left = side_of("k,v\n" + "".join(f"{key},{key}\n" for key in range(400)))
    right = side_of("k,v\n" + "".join(f"{key},{key + (key % 5 == 0)}\n" for key in reversed(range(400))))
    checks = chain([1, 2] * coincidences, repeat(0))  # of the left and the right
    monkeypatch.setattr("app.domain.reconciliation.large_side.LargeSide.common_check", lambda _: next(checks))
    options = ReconciliationOptions(method=ReconciliationMethod.BLOOM)
    if coincidences == 3:
        with pytest.raises(UnavailableError, match="start the comparison once more"):
            run(left, right, pairs_of("k", "v", keys=keys), options, spill_dir=tmp_path, thresholds=READ_AGAIN)
        return
    result, found = run(left, right, pairs_of("k", "v", keys=keys), options, spill_dir=tmp_path, thresholds=READ_AGAIN)
    assert counts(result) == ((320, 80, 0, 0) if keys else (320, 0, 80, 80))
    assert len(found) == (80 if keys else 160)


def test_300_000_disjoint_rows_have_nothing_in_common(tmp_path: Path) -> None:
    """A filter of a fixed size would call most of them common; ours grows with the rows."""
    left = side_of("id\n" + "\n".join(map(str, range(300_000))))
    right = side_of("id\n" + "\n".join(map(str, range(300_000, 600_000))))
    thresholds = Thresholds(exact_match_bytes=0, estimated_rows=1000)
    written: list[bytes] = []
    table = DifferencesTable(mapping=pairs_of("id"), write=lambda text: written.append(bytes(text)))
    result = compare(
        left,
        right,
        pairs_of("id"),
        ReconciliationOptions(),
        thresholds=thresholds,
        spill_dir=tmp_path,
        differences=table,
    )
    table.finish()
    assert result.method is ReconciliationMethod.BLOOM
    assert result.exact
    assert counts(result) == (0, 0, 300_000, 300_000)
    assert table.row_count == len(b"".join(written).splitlines()) - 1 == 600_000


def test_an_unverified_filter_grows_with_the_rows_too(tmp_path: Path) -> None:
    left = side_of("id\n" + "\n".join(map(str, range(30_000))))
    right = side_of("id\n" + "\n".join(map(str, range(30_000, 60_000))))
    options = ReconciliationOptions(method=ReconciliationMethod.BLOOM, verify=False)
    thresholds = Thresholds(estimated_rows=1000)
    result, _ = run(left, right, pairs_of("id"), options, spill_dir=tmp_path, thresholds=thresholds)
    assert result.false_positive_rate == pytest.approx(0.01, rel=0.1)
    assert result.common_row_count == pytest.approx(30_000 * 0.01, rel=0.4)
    assert result.left_row_count == result.common_row_count + result.left_only_row_count == 30_000


@both_methods
def test_rows_and_keys_that_only_types_make_equal_are_common(options: ReconciliationOptions, tmp_path: Path) -> None:
    left = side_of("id,at,ok\n1,2026-01-05,true\n007,2026-01-05 10:00:00,\n")
    right = side_of("id\tat\tok\n1.0\t2026-01-05 00:00:00\tTRUE\n007\t2026-01-05T10:00:00Z\t\n", delimiter="\t")
    for keys in ((), ("id",), ("at", "id")):
        result, found = run(left, right, pairs_of("id", "at", "ok", keys=keys), options, spill_dir=tmp_path)
        assert counts(result) == (2, 0, 0, 0)
        assert result.matched
        assert found == []
    sample = result.samples[DifferenceKind.COMMON][0]
    assert (sample.left, sample.right) == (("1", "2026-01-05", "true"), ("1.0", "2026-01-05 00:00:00", "TRUE"))


@both_methods
def test_ids_beyond_a_float_and_ids_with_leading_zeros_stay_apart(
    options: ReconciliationOptions, tmp_path: Path
) -> None:
    left = side_of("id\n9223372036854775808\n007\n")
    right = side_of("id\n9223372036854775809\n7\n")
    result, _ = run(left, right, pairs_of("id", keys=("id",)), options, spill_dir=tmp_path)
    assert counts(result) == (0, 0, 2, 2)


@both_methods
def test_null_keys_are_equal_and_are_not_empty_keys(options: ReconciliationOptions, tmp_path: Path) -> None:
    left, right = side_of('k,v\n,1\n"",2\n'), side_of('k,v\n,1\n"",3\n')
    result, found = run(left, right, pairs_of("k", "v", keys=("k",)), options, spill_dir=tmp_path)
    assert counts(result) == (1, 1, 0, 0)
    assert found[0].key == ("",)
    assert result.samples[DifferenceKind.COMMON][0].key == (None,)


@both_methods
def test_duplicate_keys_pair_the_most_alike_and_are_reported(options: ReconciliationOptions, tmp_path: Path) -> None:
    left = side_of("k,v,w\n1,a,1\n1,b,1\n1,b,1\n2,x,1\n", name="Left")
    right = side_of("k,v,w\n1,b,9\n1,c,7\n1,a,1\n2,x,1\n", name="Right")
    result, found = run(left, right, pairs_of("k", "v", "w", keys=("k",)), options, spill_dir=tmp_path)
    assert counts(result) == (2, 2, 0, 0)
    assert {(row.left, row.right, row.changed_columns) for row in found} == {
        (("1", "b", "1"), ("1", "b", "9"), ("w",)),
        (("1", "b", "1"), ("1", "c", "7"), ("v", "w")),
    }
    assert {(row.left_count, row.right_count) for row in found} == {(3, 3)}
    stated = {column.left: (column.differing_row_count, column.max_absolute_difference) for column in result.columns}
    assert stated == {"v": (1, None), "w": (2, 8.0)}
    assert len(result.warnings) == 2
    assert result.warnings[0].startswith(
        "Left: 1 key stands on more than one row (3 rows in all), for example k = 1 on 3 rows."
    )


@both_methods
def test_equal_pairs_of_changed_rows_are_counted_each(options: ReconciliationOptions, tmp_path: Path) -> None:
    left, right = side_of("k,v\n1,a\n1,a\n1,a\n"), side_of("k,v\n1,b\n1,b\n")
    result, found = run(left, right, pairs_of("k", "v", keys=("k",)), options, spill_dir=tmp_path)
    assert counts(result) == (0, 2, 1, 0)
    assert {(row.kind, row.rows, row.left_count, row.right_count) for row in found} == {
        (DifferenceKind.CHANGED, 2, 3, 2),
        (DifferenceKind.LEFT_ONLY, 1, 3, 2),
    }
    assert result.columns[0].differing_row_count == 2


@both_methods
def test_the_example_of_a_duplicate_key_is_the_worst_then_the_lowest(
    options: ReconciliationOptions, tmp_path: Path
) -> None:
    side = side_of("k\n" + "3\n" * 3 + "-20\n" * 3 + "-90\n" * 2 + "x\n" * 3 + "8\n")
    result, _ = run(side, side, pairs_of("k", keys=("k",)), options, spill_dir=tmp_path)
    assert counts(result) == (12, 0, 0, 0)
    assert "4 keys stand on more than one row (11 rows in all), for example k = -20 on 3 rows." in result.warnings[0]


@both_methods
@pytest.mark.parametrize("keys", [(), ("a",)])
def test_a_missing_row_that_stands_twice_far_apart_is_one_difference(
    options: ReconciliationOptions, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    left = side_of("a\nlost\n" + "".join(f"{n}\n" for n in range(5000)) + "lost\n")
    right = side_of("a\n" + "".join(f"{n}\n" for n in range(5000)))
    for one, other, kind in ((left, right, DifferenceKind.LEFT_ONLY), (right, left, DifferenceKind.RIGHT_ONLY)):
        result, found = run(one, other, pairs_of("a", keys=keys), options, spill_dir=tmp_path)
        assert result.common_row_count == 5000
        assert [(row.kind, row.rows, max(row.left_count, row.right_count)) for row in found] == [(kind, 2, 2)]
        assert len(result.warnings) == len(keys)


@both_methods
def test_very_many_rows_of_one_key_pair_in_ascending_order(options: ReconciliationOptions, tmp_path: Path) -> None:
    left = side_of("k,n\n" + "".join(f"1,{n}\n" for n in range(200, 0, -1)))
    right = side_of("k,n\n" + "".join(f"1,{n}.5\n" * 2 for n in range(1, 61)))
    result, found = run(left, right, pairs_of("k", "n", keys=("k",)), options, spill_dir=tmp_path)
    assert counts(result) == (0, 120, 80, 0)
    pairs = {(row.left, row.right) for row in found if row.kind is DifferenceKind.CHANGED}
    assert pairs == {(("1", f"{n}"), ("1", f"{(n + 1) // 2}.5")) for n in range(1, 121)}
    assert {row.left for row in found if row.kind is DifferenceKind.LEFT_ONLY} == {
        ("1", f"{n}") for n in range(121, 201)
    }
    assert all(row.rows == 1 for row in found)


@both_methods
def test_without_keys_a_row_is_counted_as_often_as_it_stands(options: ReconciliationOptions, tmp_path: Path) -> None:
    left = side_of("a,b\n" + "x,1\n" * 5 + "y,2\n")
    right = side_of("b,a\n" + "1.0,x\n" * 3 + "2,y\n" * 2)
    result, found = run(left, right, pairs_of("a", "b"), options, spill_dir=tmp_path)
    assert counts(result) == (4, 0, 2, 1)
    assert {(row.kind, row.rows, row.left_count, row.right_count) for row in found} == {
        (DifferenceKind.LEFT_ONLY, 2, 5, 3),
        (DifferenceKind.RIGHT_ONLY, 1, 1, 2),
    }
    assert result.columns == ()
    assert result.warnings == ()


@both_methods
def test_a_million_equal_rows_are_one_row_in_memory(options: ReconciliationOptions, tmp_path: Path) -> None:
    left, right = side_of("a\n" + "7\n" * 60_000), side_of("a\n" + "7.0\n" * 50_000)
    result, found = run(left, right, pairs_of("a"), options, spill_dir=tmp_path)
    assert counts(result) == (50_000, 0, 10_000, 0)
    assert [(row.rows, row.left_count, row.right_count) for row in found] == [(10_000, 60_000, 50_000)]


@both_methods
def test_headers_alone_match_and_say_that_nothing_was_compared(options: ReconciliationOptions, tmp_path: Path) -> None:
    result, _ = run(side_of("a\n"), side_of("a"), pairs_of("a"), options, spill_dir=tmp_path)
    assert result.matched
    assert result.warnings == ("Both sides have a header and no rows: nothing was compared.",)
    result, _ = run(side_of("a\n"), side_of("a\n1\n"), pairs_of("a"), options, spill_dir=tmp_path)
    assert counts(result) == (0, 0, 0, 1)


@both_methods
def test_an_empty_file_is_refused(options: ReconciliationOptions, tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="Right, line 1: the file is empty"):
        run(side_of("a\n1\n"), side_of("", name="Right"), pairs_of("a"), options, spill_dir=tmp_path)


@both_methods
def test_the_pass_rule_decides_what_matches(options: ReconciliationOptions, tmp_path: Path) -> None:
    left, right = side_of("a\n1\n2\n3\n"), side_of("a\n1\n2\n")
    for rule, matched in ((PassRule(), False), (PassRule(max_differing_rows=1), True)):
        asked = ReconciliationOptions(method=options.method, pass_when=rule)
        result, _ = run(left, right, pairs_of("a"), asked, spill_dir=tmp_path)
        assert result.matched is matched


@pytest.mark.parametrize("method", list(ReconciliationMethod))
def test_tolerance_reaches_numbers_but_no_keys(method: ReconciliationMethod, tmp_path: Path) -> None:
    left, right = side_of("k,v,d\n1,1.0,2026-01-05\n"), side_of("k,v,d\n1.01,1.01,2026-01-05\n")
    options = ReconciliationOptions(absolute_tolerance=0.1, method=method)
    result, _ = run(left, right, pairs_of("k", "v", "d"), options, spill_dir=tmp_path)
    assert counts(result) == (1, 0, 0, 0)
    result, _ = run(left, right, pairs_of("k", "v", "d", keys=("k",)), options, spill_dir=tmp_path)
    assert counts(result) == (0, 0, 1, 1)


@pytest.mark.parametrize("method", list(ReconciliationMethod))
def test_a_side_that_changes_between_two_readings_is_noticed(method: ReconciliationMethod, tmp_path: Path) -> None:
    readings = chain(["a,b\n1,2\n"], repeat("b,a\n1,2\n"))
    left = Side(open=lambda: side_of(next(readings)).open(), size_bytes=8, delimiter=",", name="Left")
    with pytest.raises(MalformedError, match="changed while"):
        run(left, side_of("a,b\n1,2\n"), pairs_of("a", "b"), ReconciliationOptions(method=method), spill_dir=tmp_path)


@both_methods
def test_differing_samples_are_the_lowest_and_common_ones_the_first(
    options: ReconciliationOptions, tmp_path: Path
) -> None:
    left = side_of("k,v\n10,a\n9,a\n8,a\n3,a\n2,a\n")
    right = side_of("k,v\n9,b\n10,b\n8,b\n3,a\n2,a\n")
    mapping = pairs_of("k", "v", keys=("k",))
    result, found = run(left, right, mapping, options, spill_dir=tmp_path, sample_limit=2)
    assert [row.key for row in result.samples[DifferenceKind.CHANGED]] == [("8",), ("9",)]
    assert [row.key for row in result.samples[DifferenceKind.COMMON]] == [("3",), ("2",)]
    assert len(found) == 3
    result, _ = run(left, right, mapping, options, spill_dir=tmp_path, sample_limit=0)
    assert set(result.samples.values()) == {()}


@pytest.mark.parametrize("method", list(ReconciliationMethod))
def test_a_byte_order_mark_within_a_table_belongs_to_its_cell(method: ReconciliationMethod, tmp_path: Path) -> None:
    left, right = side_of('c\nx\n\ufeff"a\n'), side_of("c\nx\n", name="Right")
    result, found = run(left, right, pairs_of("c"), ReconciliationOptions(method=method), spill_dir=tmp_path)
    assert counts(result) == (1, 0, 1, 0)
    assert [row.left for row in found] == [('\ufeff"a',)]


def test_numbers_are_sampled_before_texts_with_leading_zeros(tmp_path: Path) -> None:
    texts, numbers = [f"0{n}" for n in range(1, 9)], [str(n) for n in range(1500, 1508)]
    sides = side_of("k\n"), side_of("\n".join(["k", *texts, *numbers]))
    thresholds = Thresholds(partition_bytes=16)
    options = ReconciliationOptions(method=ReconciliationMethod.BLOOM)
    result, _ = run(
        *sides, pairs_of("k", keys=("k",)), options, spill_dir=tmp_path, thresholds=thresholds, sample_limit=5
    )
    assert [row.right for row in result.samples[DifferenceKind.RIGHT_ONLY]] == [(n,) for n in numbers[:5]]

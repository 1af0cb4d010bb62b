"""What a user may ask for, and what is refused at the door with the field that it is about."""

import math

import pytest

from app.domain.errors import InvalidError
from app.domain.reconciliation.mapping import ColumnMapping, check_mapping, find_columns, suggest_mapping
from app.domain.reconciliation.method import choose_method
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions, Thresholds
from tests.domain.reconciliation.reconciliation_oracle import pairs_of


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"absolute_tolerance": -0.1}, ("absoluteTolerance",)),
        ({"absolute_tolerance": math.nan}, ("absoluteTolerance",)),
        ({"absolute_tolerance": math.inf}, ("absoluteTolerance",)),
        ({"relative_tolerance": -1e-9}, ("relativeTolerance",)),
        ({"relative_tolerance": 1.0}, ("relativeTolerance",)),
        ({"relative_tolerance": math.nan}, ("relativeTolerance",)),
        ({"verify": False}, ("verify",)),
        ({"verify": False, "method": ReconciliationMethod.EXACT}, ("verify",)),
        ({"verify": False, "method": ReconciliationMethod.BLOOM, "absolute_tolerance": 1.0}, ("verify",)),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object], path: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError) as caught:
        ReconciliationOptions(**wrong)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max_differing_rows": -1}, "maxDifferingRows"),
        ({"max_differing_rows": 0.5}, "maxDifferingRows"),
        ({"max_differing_percent": -1.0}, "maxDifferingPercent"),
        ({"max_differing_percent": 100.1}, "maxDifferingPercent"),
        ({"max_differing_percent": math.nan}, "maxDifferingPercent"),
    ],
)
def test_a_pass_rule_that_makes_no_sense_is_refused(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidError) as caught:
        PassRule(**wrong)
    assert caught.value.path == ("passWhen", field)


@pytest.mark.parametrize(
    "wrong",
    [
        {"false_positive_rate": 0.0},
        {"false_positive_rate": 0.6},
        {"false_positive_rate": math.nan},
        {"exact_match_bytes": -1},
        {"estimated_rows": 0},
        {"partition_bytes": 0},
        {"held_bytes": -1},
        {"sample_bytes": 0},
        {"gathered_share": 1.5},
        {"gathered_share": math.nan},
        {"residue_rows": 0},
        {"ordered_rows": -1},
        {"block_bytes": 0},
        {"block_rows": 0},
    ],
)
def test_thresholds_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidError):
        Thresholds(**wrong)


@pytest.mark.parametrize(
    ("rule", "differing", "of", "holds"),
    [
        (PassRule(), 0, 0, True),
        (PassRule(), 1, 1_000_000, False),
        (PassRule(max_differing_rows=10), 10, 20, True),
        (PassRule(max_differing_rows=10), 11, 1_000_000, False),
        (PassRule(max_differing_percent=1.0), 10, 1000, True),
        (PassRule(max_differing_percent=1.0), 11, 1000, False),
        (PassRule(max_differing_rows=10, max_differing_percent=1.0), 10, 1000, True),
        (PassRule(max_differing_rows=10, max_differing_percent=1.0), 10, 999, False),
        (PassRule(max_differing_rows=10, max_differing_percent=1.0), 11, 1_000_000, False),
    ],
)
def test_every_limit_that_is_set_must_hold(rule: PassRule, differing: int, of: int, holds: bool) -> None:
    assert rule.holds(differing_rows=differing, all_rows=of) is holds


@pytest.mark.parametrize(
    ("mapping", "path", "words"),
    [
        ((), ("mapping",), "at least one"),
        ((ColumnMapping(left="a", right=""),), ("mapping", "0", "right"), "no name"),
        (
            (ColumnMapping(left="a", right="x"), ColumnMapping(left="a", right="y")),
            ("mapping", "1", "left"),
            "mapped twice",
        ),
        (
            (ColumnMapping(left="a", right="x"), ColumnMapping(left="b", right="x")),
            ("mapping", "1", "right"),
            "mapped twice",
        ),
    ],
)
def test_a_mapping_that_is_wrong_for_any_table_is_refused(mapping, path: tuple[str, ...], words: str) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        check_mapping(mapping)
    assert caught.value.path == path


def test_an_unknown_column_is_named_with_those_that_exist() -> None:
    with pytest.raises(InvalidError, match=r"Left has no column 'c'\. It has: 'a', 'b'\.") as caught:
        find_columns(["a", "c"], ["a", "b"], side="Left", path_side="left")
    assert caught.value.path == ("mapping", "1", "left")


def test_a_header_read_with_the_wrong_delimiter_is_recognised() -> None:
    with pytest.raises(InvalidError, match="another delimiter"):
        find_columns(["a"], ["a\tb"], side="Left", path_side="left")


def test_a_name_that_stands_twice_is_refused_only_where_it_is_mapped() -> None:
    assert find_columns(["b"], ["a", "a", "b"], side="Left", path_side="left") == (2,)
    with pytest.raises(InvalidError, match="2 columns named 'a'"):
        find_columns(["a"], ["a", "a", "b"], side="Left", path_side="left")


def test_a_mapping_is_suggested_by_names_that_are_alike() -> None:
    suggested = suggest_mapping(
        ["id", "FlightDate", "dep_delay", "x_1", "x1", "left only", "Carrier"],
        ["CARRIER", "flight_date", "depDelay", "X1", "id", "right only"],
    )
    assert suggested == (
        ColumnMapping(left="id", right="id"),
        ColumnMapping(left="FlightDate", right="flight_date"),
        ColumnMapping(left="dep_delay", right="depDelay"),
        ColumnMapping(left="x1", right="X1"),
        ColumnMapping(left="Carrier", right="CARRIER"),
    )


def test_likenesses_that_fit_several_columns_are_left_to_the_user() -> None:
    assert suggest_mapping(["a_b", "ab"], ["A-B"]) == ()
    assert suggest_mapping(["a"], ["A", "_a"]) == (ColumnMapping(left="a", right="A"),)
    assert suggest_mapping(["_", "a"], ["-", "a"]) == pairs_of("a")


@pytest.mark.parametrize(
    ("asked", "left", "right", "chosen"),
    [
        (None, 100, 100, "EXACT"),
        (None, 101, 0, "BLOOM"),
        (None, 0, 101, "BLOOM"),
        (ReconciliationMethod.EXACT, 10**9, 10**9, "EXACT"),
        (ReconciliationMethod.BLOOM, 1, 1, "BLOOM"),
    ],
)
def test_the_larger_side_chooses_the_method_unless_one_is_asked_for(asked, left: int, right: int, chosen: str) -> None:
    options = ReconciliationOptions(method=asked)
    thresholds = Thresholds(exact_match_bytes=100)
    assert choose_method(left_bytes=left, right_bytes=right, options=options, thresholds=thresholds) == chosen

"""What is suggested for two tables: pairs with reasons, no pair where a guess would be one, and keys that hold."""

import random
from datetime import date, timedelta

import pytest

from app.domain.reconciliation.confidence import Confidence
from app.domain.reconciliation.names import likeness
from app.domain.reconciliation.samples import TableSample
from app.domain.reconciliation.suggestion import MappingSuggestion, suggest


def table(whole: bool = False, **columns: list) -> TableSample:
    cells = [[None if cell is None else str(cell) for cell in column] for column in columns.values()]
    return TableSample(columns=tuple(columns), rows=list(zip(*cells, strict=True)), whole=whole)


def paired(suggestion: MappingSuggestion) -> dict[tuple[str, str], Confidence]:
    return {(pair.left, pair.right): pair.confidence for pair in suggestion.pairs}


def keys(suggestion: MappingSuggestion) -> list[tuple[str, ...]]:
    return [tuple(column.left for column in key.columns) for key in suggestion.keys]


IDS = list(range(1_000, 1_200))
NAMES = [f"name {number}" for number in range(200)]
DAYS = [date(2026, 1, 1) + timedelta(days=number % 40) for number in range(200)]
PRICES = [number * 1.25 + 0.01 for number in range(200)]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("cust_id", "customer_id"),
        ("custid", "CustomerId"),
        ("order_qty", "OrderQuantity"),
        ("dep_delay", "departure_delay"),
        ("custmer_name", "customer name"),
        ("id_customer", "customer_id"),
        ("HTTPStatus", "http_status"),
        ("größe", "Größe"),
    ],
)
def test_names_are_alike_by_their_words_abbreviations_and_slips(left, right):
    assert likeness(left, right) == likeness(right, left) > 0.5


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("price_min", "price_max"),
        ("start_date", "end_date"),
        ("dep_delay", "arr_delay"),
        ("address1", "address2"),
        ("first_name", "last_name"),
        ("active", "inactive"),
        ("latitude", "longitude"),
        ("a", "b"),
        ("", "_"),
    ],
)
def test_names_that_share_most_letters_and_mean_another_thing_are_not(left, right):
    assert likeness(left, right) == 0


def test_pairs_have_reasons_and_come_in_the_left_order():
    left = table(cust_id=IDS, name=NAMES, Day=DAYS, left_only=PRICES)
    right = table(day=DAYS, customer_id=IDS, name=NAMES, other=["x"] * 200)
    found = suggest(left, right)
    assert paired(found) == {
        ("cust_id", "customer_id"): Confidence.MEDIUM,
        ("name", "name"): Confidence.HIGH,
        ("Day", "day"): Confidence.HIGH,
    }
    reasons = [pair.reason for pair in found.pairs]
    assert reasons == [
        "The names are alike, and 100% of the values seen on one side are on the other.",
        "The names are the same.",
        "The names differ in case or punctuation alone.",
    ]
    assert (found.unmatched_left, found.unmatched_right) == (("left_only",), ("other",))
    assert (found.left_rows, found.right_rows, found.whole) == (200, 200, False)


def test_values_are_the_same_as_the_comparison_has_it():
    left = table(amt=["1.50", "2.0", "3e0", "4", "5"])
    right = table(amount=["1.5", "2", "3", "4.00", "6"])
    assert paired(suggest(left, right)) == {("amt", "amount"): Confidence.MEDIUM}


def test_names_alike_with_values_of_another_kind_are_no_pair():
    assert paired(suggest(table(cust_id=IDS), table(customer_id=NAMES))) == {}
    assert paired(suggest(table(dt=DAYS), table(date=IDS))) == {}


def test_alike_names_whose_whole_tables_share_no_value_are_no_pair():
    left, right = [number + 0.5 for number in range(50)], [number + 0.25 for number in range(50)]
    assert paired(suggest(table(amt=left), table(amount=right))) == {("amt", "amount"): Confidence.LOW}
    assert paired(suggest(table(amt=left, whole=True), table(amount=right, whole=True))) == {}


def test_what_fits_two_columns_about_as_well_is_left_to_the_user():
    found = suggest(table(cust_id=IDS), table(customer_id=IDS, custom_id=IDS))
    assert found.pairs == ()
    assert (found.unmatched_left, found.unmatched_right) == (("cust_id",), ("customer_id", "custom_id"))


def test_a_name_that_is_a_part_of_the_other_wants_the_same_values():
    assert paired(suggest(table(id=IDS), table(order_id=IDS))) == {("id", "order_id"): Confidence.LOW}
    others = [number + 10_000 for number in IDS]
    assert paired(suggest(table(id=IDS), table(order_id=others))) == {}


def test_unlike_names_are_a_pair_only_by_many_values_that_tell_something():
    assert paired(suggest(table(kunde=NAMES), table(client=NAMES))) == {("kunde", "client"): Confidence.LOW}
    assert paired(suggest(table(zeile=IDS), table(row=IDS))) == {}, "counters are alike everywhere"
    assert paired(suggest(table(neu=["true", "false"] * 9), table(fresh=["true", "false"] * 9))) == {}
    assert paired(suggest(table(kunde=NAMES[:5]), table(client=NAMES[:5]))) == {}


def test_same_names_with_other_values_are_a_pair_that_is_less_sure():
    (pair,) = suggest(table(code=IDS), table(code=NAMES)).pairs
    assert pair.confidence is Confidence.MEDIUM
    assert "the left side has whole numbers and the right side text" in pair.reason
    (pair,) = suggest(table(whole=True, code=NAMES), table(whole=True, code=[f"x{name}" for name in NAMES])).pairs
    assert (pair.confidence, "no value is on both sides" in pair.reason) == (Confidence.MEDIUM, True)


def test_columns_that_a_mapping_cannot_name_are_left_out():
    twice = TableSample(columns=("a", "a", "", "b"), rows=[("1", "2", "3", "4")], whole=True)
    found = suggest(twice, twice)
    assert list(paired(found)) == [("b", "b")]
    assert found.unmatched_left == ("a", "a", "")


def test_tables_without_rows_are_paired_by_their_names():
    found = suggest(table(cust_id=[], name=[]), table(customer_id=[], name=[]))
    assert paired(found) == {("cust_id", "customer_id"): Confidence.LOW, ("name", "name"): Confidence.HIGH}
    assert found.keys == ()


# ---- keys


def test_a_unique_column_with_the_name_of_a_key_comes_first_and_is_marked():
    columns = {"price": PRICES, "remark": [f"{name} " * 20 for name in NAMES], "name": NAMES, "order_id": IDS}
    found = suggest(table(**columns), table(**columns))
    assert keys(found) == [("order_id",), ("name",), ("price",), ("remark",)]
    assert [key.confidence for key in found.keys] == [
        Confidence.HIGH,
        Confidence.MEDIUM,
        Confidence.LOW,
        Confidence.LOW,
    ]
    assert [pair.left for pair in found.pairs if pair.key] == ["order_id"]
    assert found.keys[0].reason == (
        "No value is empty or there twice in the 200 rows of the left side and the 200 of the right that were looked"
        " at; others may repeat them."
    )


@pytest.mark.parametrize("spoilt", [None, "", 1_001])
def test_a_column_that_repeats_or_lacks_a_value_on_one_side_is_no_key(spoilt):
    other = [*IDS[:-1], spoilt]
    assert keys(suggest(table(id=IDS), table(id=other))) == []
    assert keys(suggest(table(id=other), table(id=IDS))) == []


def test_equal_values_that_are_written_differently_are_one_value():
    assert keys(suggest(table(id=[1, 2, "2.0"]), table(id=[1, 2, 3]))) == []


def test_two_columns_are_a_key_together_where_neither_is_alone():
    shop = [number // 20 for number in range(200)]
    line = [number % 20 for number in range(200)]
    found = suggest(table(shop=shop, line_no=line, x=[0] * 200), table(shop=shop, line_no=line, x=[0] * 200))
    assert keys(found) == [("line_no", "shop")]
    assert found.keys[0].confidence is Confidence.MEDIUM
    assert [pair.left for pair in found.pairs if pair.key] == ["shop", "line_no"]


def test_few_rows_of_many_tell_little_and_whole_tables_more():
    few = {"city": ["a", "b", "c"], "city_id": [1, 2, 3]}
    sampled = suggest(table(**few), table(**few))
    assert [key.confidence for key in sampled.keys] == [Confidence.MEDIUM, Confidence.LOW]
    whole = suggest(table(whole=True, **few), table(whole=True, **few))
    assert [key.confidence for key in whole.keys] == [Confidence.HIGH, Confidence.MEDIUM]
    assert whole.keys[0].reason.endswith("in the 3 rows of the left side and the 3 of the right.")


def test_one_row_tells_nothing_of_keys():
    assert keys(suggest(table(id=[1]), table(id=IDS))) == []


def test_a_suggestion_can_be_confirmed_as_it_is():
    """What is suggested never names a column twice, and only columns that exist."""
    source = random.Random(5)  # noqa: S311 - the same tables each time
    words = ["id", "name", "customer", "cust", "date", "dt", "amount", "amt", "no", "total"]

    def any_table() -> TableSample:
        names = ["_".join(source.sample(words, source.randint(1, 2))) for _ in range(source.randint(1, 8))]
        rows = [[str(source.randint(0, 9)) for _ in names] for _ in range(12)]
        return TableSample(columns=tuple(names), rows=rows, whole=True)

    for _ in range(200):
        left, right = any_table(), any_table()
        found = suggest(left, right)
        for names, table_ in (([p.left for p in found.pairs], left), ([p.right for p in found.pairs], right)):
            assert len(set(names)) == len(names)
            assert all(table_.columns.count(name) == 1 for name in names)
        assert sorted([*found.unmatched_left, *(p.left for p in found.pairs)]) == sorted(left.columns)
        assert sorted([*found.unmatched_right, *(p.right for p in found.pairs)]) == sorted(right.columns)

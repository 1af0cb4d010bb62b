"""Which columns are compared: by names alike, by what is typed, and what a mistake is answered with."""

import pytest

from app.domain.errors import InvalidError
from app.reconcile.columns import ColumnWishes, Header, chosen_mapping, left_out

LEFT = Header(name="l.csv", columns=("id", "Total Price", "note", "a=b", "x,y"))
RIGHT = Header(name="r.csv", columns=("ID", "total_price", "comment", "c", "x,y"))


def pairs(**wishes: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    return [(pair.left, pair.right, pair.key) for pair in chosen_mapping(LEFT, RIGHT, ColumnWishes(**wishes))]


def test_names_alike_belong_together_and_the_rest_is_named() -> None:
    assert pairs() == [("id", "ID", False), ("Total Price", "total_price", False), ("x,y", "x,y", False)]
    mapping = chosen_mapping(LEFT, RIGHT, ColumnWishes())
    assert list(left_out(LEFT, RIGHT, mapping)) == [
        "Not compared, of l.csv: note, a=b.",
        "Not compared, of r.csv: comment, c.",
    ]


def test_a_named_pair_is_added_and_takes_the_place_of_suggested_ones() -> None:
    assert ("note", "comment", False) in pairs(pairs=("note=comment",))
    found = pairs(pairs=("note=total_price",))
    assert ("note", "total_price", False) in found
    assert "Total Price" not in [left for left, _, _ in found]


def test_a_name_may_hold_the_sign_and_the_comma() -> None:
    assert ("a=b", "c", False) in pairs(pairs=("a=b=c",))
    assert ("x,y", "x,y", True) in pairs(keys=("x,y",))
    assert "x,y" not in [left for left, _, _ in pairs(ignored=("x,y",))]


def test_keys_are_named_by_either_side_and_by_commas() -> None:
    assert [left for left, _, key in pairs(keys=("ID,Total Price",)) if key] == ["id", "Total Price"]
    assert [left for left, _, key in pairs(keys=("id", "total_price")) if key] == ["id", "Total Price"]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"keys": ("nope",)}, "no column 'nope'. l.csv has: 'id',"),
        ({"keys": ("note",)}, "--map note=NAME. r.csv has: 'ID',"),
        ({"keys": ("comment",)}, "--map NAME=comment. l.csv has: 'id',"),
        ({"keys": ("id",), "ignored": ("id",)}, "The key 'id'"),
        ({"ignored": ("nope",)}, "no column 'nope'"),
        ({"ignored": ("id", "Total Price", "x,y")}, "name pairs by --map LEFT=RIGHT"),
        ({"pairs": ("id",)}, "write a pair as LEFT=RIGHT"),
        ({"pairs": ("id=nope",)}, "r.csv has no column 'nope'"),
        ({"pairs": ("nope=ID",)}, "l.csv has no column 'nope'"),
    ],
)
def test_a_mistake_is_answered_with_what_there_is(wishes: dict[str, tuple[str, ...]], words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        pairs(**wishes)
    assert words in caught.value.message

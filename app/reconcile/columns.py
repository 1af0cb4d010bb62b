"""Which columns are compared: those of names alike, and what is typed of keys, pairs and columns to ignore."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.errors import InvalidError
from app.domain.reconciliation.mapping import ColumnMapping, suggest_mapping

_NAMES_SHOWN = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The columns of one side, and what a person calls it."""

    name: str
    columns: tuple[str, ...]

    def told(self) -> str:
        more = f" and {len(self.columns) - _NAMES_SHOWN} more" if len(self.columns) > _NAMES_SHOWN else ""
        return f"{self.name} has: {', '.join(map(repr, self.columns[:_NAMES_SHOWN]))}{more}."


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnWishes:
    """As they were typed: names apart by commas, and pairs as `left=right`."""

    keys: Sequence[str] = ()
    pairs: Sequence[str] = ()
    ignored: Sequence[str] = ()


def chosen_mapping(left: Header, right: Header, wishes: ColumnWishes) -> tuple[ColumnMapping, ...]:
    """Raises InvalidError for a column that neither side has, and where nothing is left to compare."""
    ignored = set(_names(wishes.ignored, left, right))
    pairs = _pairs(left, right, wishes)
    pairs = [pair for pair in pairs if ignored.isdisjoint((pair.left, pair.right))]
    if not pairs:
        raise InvalidError(
            f"No column of {left.name} is like one of {right.name}: name pairs by --map LEFT=RIGHT, and check the "
            f"delimiters. {left.told()} {right.told()}"
        )
    keys = [_key(name, pairs, left, right) for name in _names(wishes.keys, left, right)]
    return tuple(ColumnMapping(left=pair.left, right=pair.right, key=pair in keys) for pair in pairs)


def left_out(left: Header, right: Header, mapping: Sequence[ColumnMapping]) -> Iterator[str]:
    """A sentence for each side that has columns which were not compared."""
    for header, compared in (
        (left, {pair.left for pair in mapping}),
        (right, {pair.right for pair in mapping}),
    ):
        others = [name for name in header.columns if name not in compared]
        if others:
            more = f" and {len(others) - _NAMES_SHOWN} more" if len(others) > _NAMES_SHOWN else ""
            yield f"Not compared, of {header.name}: {', '.join(others[:_NAMES_SHOWN])}{more}."


def _pairs(left: Header, right: Header, wishes: ColumnWishes) -> list[ColumnMapping]:
    """Named pairs take the place of suggested ones; all in the order of the left side."""
    named = [_pair(text, left, right) for text in wishes.pairs]
    taken_left, taken_right = {pair.left for pair in named}, {pair.right for pair in named}
    suggested = [
        pair
        for pair in suggest_mapping([name for name in left.columns if name], [name for name in right.columns if name])
        if pair.left not in taken_left and pair.right not in taken_right
    ]
    return sorted([*named, *suggested], key=lambda pair: left.columns.index(pair.left))


def _pair(text: str, left: Header, right: Header) -> ColumnMapping:
    """`a=b`; where a name has the sign itself, cut where both sides have the columns."""
    cuts = [(text[:at], text[at + 1 :]) for at, mark in enumerate(text) if mark == "="]
    if not cuts:
        raise InvalidError(f"--map {text}: write a pair as LEFT=RIGHT.")
    for one, other in cuts:
        if one in left.columns and other in right.columns:
            return ColumnMapping(left=one, right=other)
    one, other = cuts[0]
    missing, header = (one, left) if one not in left.columns else (other, right)
    raise InvalidError(f"--map {text}: {header.name} has no column {missing!r}. {header.told()}")


def _names(texts: Sequence[str], left: Header, right: Header) -> list[str]:
    """A text that is a column's name stands for itself; any other is names apart by commas."""
    known = {*left.columns, *right.columns}
    names = [name for text in texts for name in ([text] if text in known else text.split(","))]
    for name in names:
        if name not in known:
            raise InvalidError(f"There is no column {name!r}. {left.told()} {right.told()}")
    return names


def _key(name: str, pairs: Sequence[ColumnMapping], left: Header, right: Header) -> ColumnMapping:
    found = [pair for pair in pairs if pair.left == name] or [pair for pair in pairs if pair.right == name]
    if found:
        return found[0]
    here, there = (left, right) if name in left.columns else (right, left)
    pair = f"{name}=NAME" if here is left else f"NAME={name}"
    raise InvalidError(f"The key {name!r} of {here.name} has no counterpart: name it by --map {pair}. {there.told()}")

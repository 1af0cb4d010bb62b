"""Which column of the left side belongs to which of the right, and which of them name a row."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.errors import InvalidError

_NAMES_SHOWN = 30
_USUAL_DELIMITERS = frozenset(",;\t|\x01")


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnMapping:
    left: str
    right: str
    key: bool = False


def check_mapping(mapping: Sequence[ColumnMapping]) -> None:
    """Refuses a mapping that is wrong whatever the two sides hold."""
    if not mapping:
        raise InvalidError("Map at least one column of the left side to one of the right.", path=("mapping",))
    for side, names in (("left", [pair.left for pair in mapping]), ("right", [pair.right for pair in mapping])):
        seen: set[str] = set()
        for position, name in enumerate(names):
            if not name:
                raise InvalidError(
                    f"Column pair {position + 1} has no name for the {side} side.",
                    path=("mapping", str(position), side),
                )
            if name in seen:
                raise InvalidError(
                    f"The {side} column {name!r} is mapped twice: keep one of its pairs.",
                    path=("mapping", str(position), side),
                )
            seen.add(name)


def find_columns(names: Sequence[str], header: Sequence[str | None], *, side: str, path_side: str) -> tuple[int, ...]:
    """The places of `names` in a header; a name that is missing or stands there twice is refused, with what exists."""
    places = []
    for position, name in enumerate(names):
        path = ("mapping", str(position), path_side)
        if name not in header:
            raise InvalidError(f"{side} has no column {name!r}. {_what_exists(header)}", path=path)
        if header.count(name) > 1:
            raise InvalidError(
                f"{side} has {header.count(name)} columns named {name!r}: give each its own name in the query.",
                path=path,
            )
        places.append(header.index(name))
    return tuple(places)


def suggest_mapping(left_columns: Sequence[str], right_columns: Sequence[str]) -> tuple[ColumnMapping, ...]:
    """Pairs columns of the same name, then of names alike but for case, blanks and punctuation, in the left order.

    A likeness that holds for several columns of a side is left to the user; so are the keys.
    """
    found: dict[str, str] = {name: name for name in left_columns if name in set(right_columns)}
    for likeness in (str.casefold, _bare):
        free_left = _unique([name for name in left_columns if name not in found], likeness)
        free_right = _unique([name for name in right_columns if name not in found.values()], likeness)
        found |= {name: free_right[alike] for alike, name in free_left.items() if alike in free_right}
    return tuple(ColumnMapping(left=name, right=found[name]) for name in dict.fromkeys(left_columns) if name in found)


def _unique(names: Sequence[str], likeness: Callable[[str], str]) -> dict[str, str]:
    """Names by their likeness, without those that share one."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(likeness(name), []).append(name)
    return {form: found[0] for form, found in alike.items() if len(found) == 1 and form}


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _what_exists(header: Sequence[str | None]) -> str:
    shown = ", ".join(repr(name or "") for name in header[:_NAMES_SHOWN])
    more = f" and {len(header) - _NAMES_SHOWN} more" if len(header) > _NAMES_SHOWN else ""
    if len(header) == 1 and set(header[0] or "") & _USUAL_DELIMITERS:
        return f"Its header is the single cell {shown}: it seems to be written with another delimiter."
    return f"It has: {shown}{more}."

"""A playground's parameters: named texts, numbers and booleans that may stand in the texts of its tasks."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from app.domain.errors import InvalidError, NotFoundError, TooLargeError

ParameterValue: TypeAlias = str | int | float | bool

MAX_PARAMETERS = 100
MAX_TEXT = 10_000
MAX_NUMBER = 2**63 - 1
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
RESERVED = frozenset({"scheduled_for", "run", "playground", "self", "loop"})
WORDS = frozenset({"true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else"})
CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]"
)  # and halves of characters, which no encoding has


def checked_parameters(pairs: Sequence[tuple[str, ParameterValue]]) -> dict[str, ParameterValue]:
    """The parameters by name, in their order.

    Raises: InvalidError, TooLargeError, with paths below `parameters`.
    """
    if len(pairs) > MAX_PARAMETERS:
        raise TooLargeError(
            f"A playground has at most {MAX_PARAMETERS} parameters; these are {len(pairs)}.", path=("parameters",)
        )
    parameters: dict[str, ParameterValue] = {}
    for index, (name, value) in enumerate(pairs):
        place = ("parameters", str(index))
        if NAME.fullmatch(name) is None:
            raise InvalidError(
                f"{name[:80]!r} cannot be a parameter's name: it begins with a letter and has up to 64 letters, digits "
                f"and underscores.",
                path=(*place, "name"),
            )
        if name in RESERVED | WORDS:
            raise InvalidError(f"{name!r} means something else in a text; choose another name.", path=(*place, "name"))
        if name in parameters:
            raise InvalidError(f"The name {name!r} comes twice.", path=(*place, "name"))
        _check_value(value, path=(*place, "value"))
        parameters[name] = value
    return parameters


def with_overrides(
    known: Mapping[str, ParameterValue], pairs: Sequence[tuple[str, ParameterValue]]
) -> dict[str, ParameterValue]:
    """A playground's parameters with other values for some of them.

    Raises: NotFoundError for a name that the playground does not have; InvalidError, TooLargeError.
    """
    for index, (name, _) in enumerate(pairs):
        if name not in known:
            names = ", ".join(known) or "none"
            raise NotFoundError(
                f"The playground has no parameter {name[:80]!r}. It has: {names}.",
                path=("parameters", str(index), "name"),
            )
    return {**known, **checked_parameters(pairs)}


def _check_value(value: ParameterValue, *, path: tuple[str, ...]) -> None:
    match value:
        case bool():
            return
        case int() if abs(value) > MAX_NUMBER:
            raise InvalidError("A whole number has at most 64 bits.", path=path)
        case float() if not math.isfinite(value):
            raise InvalidError("A number is finite.", path=path)
        case str() if len(value) > MAX_TEXT:
            raise TooLargeError(f"A parameter's text has at most {MAX_TEXT} characters.", path=path)
        case str() if CONTROL.search(value):
            raise InvalidError("A parameter's text holds no control characters.", path=path)

"""What a key permits, in words: made from its type and bounds, or said by a marker beside the type."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ByteSize, SecretStr

from app.settings.duration import duration_text


@dataclass(frozen=True, slots=True)
class Permitted:
    """A marker for `Annotated`: what is permitted, where bounds cannot say it."""

    words: str


def permitted_words(annotation: Any, metadata: Sequence[Any]) -> str | None:
    """`a whole number from 1 to 1000`, `one of json, text`, and so on; None where there is nothing helpful to say."""
    for marker in metadata:
        if isinstance(marker, Permitted):
            return marker.words
    if get_origin(annotation) is Literal:
        return _choice(get_args(annotation))
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, StrEnum):
        return _choice(member.value for member in annotation)
    if issubclass(annotation, BaseModel):
        return "a section with the keys " + ", ".join(keys_of(annotation))
    kind = _KINDS.get(annotation)
    return None if kind is None else kind + _bounds(metadata)


def keys_of(section: type[BaseModel]) -> tuple[str, ...]:
    """The section's keys as a file has them."""
    return tuple(field.alias or name for name, field in section.model_fields.items())


_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    ByteSize: "a size such as 1GB or 512MiB",
    timedelta: "a duration such as 30s, 5m or 500ms",
    Path: "a path",
    SecretStr: "text",
    str: "text",
}


def _choice(values: Iterable[Any]) -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else "one of " + ", ".join(words)


def _bounds(metadata: Sequence[Any]) -> str:
    low = next((_text(m.ge) for m in metadata if isinstance(m, Ge)), None)
    high = next((_text(m.le) for m in metadata if isinstance(m, Le)), None)
    above = next((_text(m.gt) for m in metadata if isinstance(m, Gt)), None)
    below = next((_text(m.lt) for m in metadata if isinstance(m, Lt)), None)
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = [
        f"{word} {bound}"
        for word, bound in (("of at least", low), ("above", above), ("of at most", high), ("below", below))
        if bound is not None
    ]
    return " " + " and ".join(words) if words else ""


def _text(bound: Any) -> str:
    if isinstance(bound, timedelta):
        return duration_text(bound)
    return f"{bound:f}".rstrip("0").rstrip(".") if isinstance(bound, float) else str(bound)

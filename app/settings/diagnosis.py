"""Pydantic's findings turned into faults: the path as the file has it, the value masked, the range in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from app.settings.faults import Path, SettingsFault, path_text
from app.settings.schema import DICT_KEY, Place, nearest, place_at, variable_name

_PROBLEMS = {
    "missing": "it is missing",
    "int_parsing": "this is no whole number",
    "int_type": "this is no whole number",
    "int_from_float": "this is no whole number",
    "float_parsing": "this is no number",
    "float_type": "this is no number",
    "bool_parsing": "this is neither true nor false",
    "bool_type": "this is neither true nor false",
    "string_type": "this is no text",
    "string_pattern_mismatch": "it is not written as it must be",
    "string_too_short": "it is empty",
    "string_too_long": "it is too long",
    "greater_than_equal": "it is too small",
    "greater_than": "it is too small",
    "less_than_equal": "it is too large",
    "less_than": "it is too large",
    "finite_number": "this is no finite number",
    "enum": "there is no such choice",
    "literal_error": "there is no such choice",
    "byte_size": "this is no size",
    "byte_size_unit": "this is no unit of size",
    "path_type": "this is no path",
    "tuple_type": "this is no list",
    "dict_type": "this is no section",
    "model_type": "this is no section",
    "too_short": "the list has too few entries",
    "too_long": "the list has too many entries; one is permitted",
}


Located = tuple[Path, SettingsFault]


def diagnose(root: type[BaseModel], error: ValidationError, sources: Mapping[Path, str]) -> list[Located]:
    """Every finding, in the order of the sections; `sources` tells which variables values came from."""
    findings = error.errors(include_url=False)
    return [_fault(root, found, sources) for found in findings if not _is_echo(found, findings)]


def _is_echo(found: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> bool:
    """A list is short only because an entry of it is refused already."""
    path: Path = found["loc"]
    return found["type"] == "too_short" and any(
        len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in findings
    )


def _fault(root: type[BaseModel], found: Mapping[str, Any], sources: Mapping[Path, str]) -> Located:
    path: Path = found["loc"]
    kind: str = found["type"]
    context: Mapping[str, Any] = found.get("ctx", {})
    if kind == "extra_forbidden":
        return path, unknown_key(root, path, source=_source(sources, path))
    if kind == "cross_fault":
        path = (*path, context["key"])
        return path, SettingsFault(path=path_text(path), problem=context["problem"])
    place = place_at(root, path) or Place.of(str)
    shown_path = path[:-1] if path[-1:] == (DICT_KEY,) else path
    problem = str(context["error"]) if kind == "value_error" else _PROBLEMS.get(kind, found["msg"])
    if kind == "missing":
        problem += f"; give it in the file, or as {variable_name(path)}"
    return shown_path, SettingsFault(
        path=path_text(shown_path),
        problem=problem,
        value=None if kind == "missing" else place.shown(found["input"]),
        permitted=place.permitted,
        source=_source(sources, path),
    )


def unknown_key(root: type[BaseModel], path: Path, *, source: str | None = None) -> SettingsFault:
    """The fault of a key that does not exist. Its value is not shown: it may be a secret under a misspelt name."""
    parent = place_at(root, path[:-1])
    known = parent.keys() if parent else ()
    meant = nearest(str(path[-1]), known)
    return SettingsFault(
        path=path_text(path),
        problem="there is no such key" + (f"; did you mean {meant}?" if meant else ""),
        permitted=", ".join(known) or None,
        source=source,
    )


def _source(sources: Mapping[Path, str], path: Path) -> str | None:
    """The variable of the value itself, or of the section that it was given with."""
    return next((sources[path[:length]] for length in range(len(path), 0, -1) if path[:length] in sources), None)

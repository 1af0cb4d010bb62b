"""A session that the client keeps: the server tells what a statement has changed, and is told it with the next one."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_plus

import httpx

from app.engines.presto.dialect import Dialect

# The header of a request, and those of an answer that set and clear it.
_SINGLE: Mapping[str, str] = {"Catalog": "Set-Catalog", "Schema": "Set-Schema", "Path": "Set-Path"}
_NAMED: Mapping[str, tuple[str, str | None]] = {
    "Session": ("Set-Session", "Clear-Session"),
    "Role": ("Set-Role", None),
    "Prepared-Statement": ("Added-Prepare", "Deallocated-Prepare"),
    "Session-Function": ("Added-Session-Function", "Removed-Session-Function"),
}


@dataclass(kw_only=True, slots=True)
class PrestoSession:
    """`single` has values by the name of their header, `named` names with their values, by it too."""

    dialect: Dialect
    single: dict[str, str] = field(default_factory=dict)
    named: dict[str, dict[str, str]] = field(default_factory=dict)

    def copy(self) -> "PrestoSession":
        return deepcopy(self)

    def headers(self) -> dict[str, str]:
        """What a statement of this session is sent with."""
        named = {
            name: ",".join(f"{quote(key)}={quote(value, safe='')}" for key, value in values.items())
            for name, values in self.named.items()
            if values
        }
        return {self.dialect.header(name): value for name, value in {**self.single, **named}.items()}

    def take(self, answer: httpx.Headers) -> None:
        """Keep what the answer says has changed."""
        for name, setter in _SINGLE.items():
            for value in self._values(answer, setter):
                self.single[name] = value
        for name, (setter, clearer) in _NAMED.items():
            values = self.named.setdefault(name, {})
            for pair in self._values(answer, setter):
                key, _, value = pair.partition("=")
                values[unquote_plus(key)] = unquote_plus(value)
            for key in self._values(answer, clearer) if clearer else ():
                values.pop(unquote_plus(key), None)

    def _values(self, answer: httpx.Headers, name: str) -> Sequence[str]:
        # Names and values are percent-encoded, so a comma parts two of them; a catalogue's name has none either.
        return [value.strip() for value in answer.get_list(self.dialect.header(name), split_commas=True)]

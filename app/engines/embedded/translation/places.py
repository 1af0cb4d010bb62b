"""Where in the user's own text something stands, and the failures that point there."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from app.engines.base import TerminalEngineError


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One-based line and column."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


def place_of(node: exp.Expr | None) -> Place | None:
    """Where the node starts: its own place or that of the first of its parts that has one."""
    if node is None:
        return None
    marked = [part.meta for part in node.walk() if "line" in part.meta]
    if not marked:
        return None
    first = min(marked, key=lambda meta: int(meta["start"]))
    length = int(first["end"]) - int(first["start"])
    return Place(line=first["line"], column=max(1, first["col"] - length))


def place_of_token(token: Token) -> Place:
    return Place(line=token.line, column=max(1, token.col - (token.end - token.start)))


def syntax_error(message: str, place: Place | None) -> TerminalEngineError:
    return TerminalEngineError(f"Syntax error{_at(place)}: {message}", code="SYNTAX")


def unsupported(what: str, place: Place | None, *, advice: str = "") -> TerminalEngineError:
    """The construct, its place and, where there is one, another way to write it."""
    message = f"{what}{_at(place)} is not supported by the embedded engine"
    return TerminalEngineError(f"{message}; {advice}." if advice else f"{message}.", code="UNSUPPORTED")


def table_not_found(name: str, place: Place | None, known: Iterable[str]) -> TerminalEngineError:
    names = sorted(known)
    hint = _suggestion(name, names)
    if not hint:
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")  # noqa: PLR2004 - as many as fit a line
        hint = (
            f" The tables here are: {shown}."
            if names
            else " There are no tables here yet: an earlier task must create it."
        )
    return TerminalEngineError(f"There is no table {name}{_at(place)}.{hint}", code="TABLE_NOT_FOUND")


def column_not_found(name: str, place: Place | None, known: Iterable[str]) -> TerminalEngineError:
    names = sorted(set(known))
    hint = _suggestion(name, names) or (f" The columns here are: {', '.join(names[:20])}." if names else "")
    return TerminalEngineError(f"There is no column {name}{_at(place)}.{hint}", code="COLUMN_NOT_FOUND")


def _at(place: Place | None) -> str:
    return f" at {place}" if place else ""


def _suggestion(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""

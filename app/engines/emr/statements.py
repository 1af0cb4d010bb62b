"""Parts a SQL text into its statements, and finds where the rows of a Hive query can be sent to a folder."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from app.engines.base import TerminalEngineError

_LISTINGS = frozenset({"SHOW", "DESCRIBE", "DESC", "EXPLAIN"})
_QUERIES = frozenset({"SELECT", "WITH", "FROM", "VALUES", "(", "MAP", "REDUCE"})
_SELECTS = frozenset({"SELECT", "MAP", "REDUCE", "VALUES"})
_CLI_WORDS = frozenset({"QUIT", "EXIT", "SOURCE", "DFS", "COMPILE"})

_AWKWARD = re.compile(r"\\.|[\r\n;]", re.DOTALL)  # an escaped character goes together with its backslash
_ESCAPED = {"\r": "\\r", "\n": "\\n", ";": "\\u003B"}


@dataclass(frozen=True, kw_only=True, slots=True)
class HiveResult:
    """The last statement: a query, in two halves between which its destination goes, or a listing, or neither."""

    head: str = ""
    tail: str = ""
    listing: str = ""


def split_statements(text: str, dialect: str) -> list[str]:
    """The statements as they were written; a text that cannot be read is one: the engine says what is wrong with it."""
    try:
        tokens = _tokens(text, dialect)
    except TokenError:
        return [text]
    return [text[part[0].start : part[-1].end + 1] for part in _parts(tokens)]


def hive_statements(text: str) -> tuple[list[str], HiveResult]:
    """The statements for Hive's command line, the last one apart.

    That program drops lines that begin with two dashes and parts statements at semicolons, in strings too where a
    comment has an odd quote: so comments are left out, and strings have neither line breaks nor semicolons.

    Raises: TerminalEngineError.
    """
    try:
        parts = list(_parts(_tokens(text, "hive")))
    except TokenError as error:
        raise TerminalEngineError(f"Hive could not read this text: {error}", code="SYNTAX") from error
    if not parts:
        raise TerminalEngineError("The query holds no statement; write one.", code="SYNTAX")
    for part in parts:
        word = part[0].text.upper()
        if word in _CLI_WORDS or text[part[0].start] == "!":
            raise TerminalEngineError(
                f"{text[part[0].start : part[-1].end + 1][:40]!r} is a command of Hive's command line, not a statement;"
                " leave it out.",
                code="SYNTAX",
            )
    *before, last = parts
    return [_safe(text, part) for part in before], _result(text, last)


def _result(text: str, part: Sequence[Token]) -> HiveResult:
    word = part[0].text.upper()
    if word in _LISTINGS:
        return HiveResult(listing=_safe(text, part))
    top = [token.text.upper() for token in _top_level(part)]
    if word not in _QUERIES or "INSERT" in top:
        return HiveResult(head=_safe(text, part))
    first = next((token for token in _top_level(part) if token.text.upper() in _SELECTS), part[0])
    place = part.index(first)
    return HiveResult(head=_safe(text, part[:place]), tail=_safe(text, part[place:]))


def _top_level(part: Sequence[Token]) -> Iterator[Token]:
    depth = 0
    for token in part:
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        elif depth == 0 and token.token_type not in {TokenType.STRING, TokenType.IDENTIFIER}:
            yield token


def _safe(text: str, part: Sequence[Token]) -> str:
    pieces = []
    end: int | None = None
    for token in part:
        if end is not None and token.start <= end:
            continue  # a number such as 2.50BD is several tokens at one place
        if end is not None and token.start > end + 1:
            pieces.append(" " if text[end + 1 : token.start].strip() else text[end + 1 : token.start])
        written = text[token.start : token.end + 1]
        if token.token_type is TokenType.STRING:
            written = _AWKWARD.sub(lambda found: _ESCAPED.get(found[0][-1], found[0]), written)
        pieces.append(written)
        end = token.end
    return "".join(pieces)


def _tokens(text: str, dialect: str) -> list[Token]:
    return list(Dialect.get_or_raise(dialect).tokenize(text))


def _parts(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            if part:
                yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part

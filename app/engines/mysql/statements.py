"""Parts a MySQL text into its statements, as far as quotes and comments go; the server judges the rest."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Only what may hide a semicolon needs knowing. A text that is parted wrongly is refused by the server, which takes
# one statement at a time (see mysql_connections), so no rule of safety hangs on this.
_TOKEN = re.compile(
    r"""
      (?P<string> '[^'\\]*(?:(?:\\.|'')[^'\\]*)*'? | "[^"\\]*(?:(?:\\.|"")[^"\\]*)*"? )
    | (?P<name> `[^`]*`? )
    | (?P<comment> --(?=\s|\Z)[^\n]* | \#[^\n]* | /\*(?!M?!).*?(?:\*/|\Z) )
    | (?P<executable> /\*M?!.*?(?:\*/|\Z) )  # a comment to others, text to the server
    | (?P<word> [\w$]+ )
    | (?P<end> ; )
    | (?P<other> [^'"`\-\#/;\w$]+ | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_ROUTINES = {"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"}
_BEFORE_ROUTINE = {"OR", "REPLACE", "AGGREGATE"}
_RETURN_ROWS = {
    "",  # starts with a parenthesis
    "SELECT",
    "WITH",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "EXPLAIN",
    "ANALYZE",
    "VALUES",
    "TABLE",
    "CALL",
    "CHECK",
    "CHECKSUM",
    "EXECUTE",
    "HELP",
    "INSERT",  # … RETURNING
    "REPLACE",
    "DELETE",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement; `bare` is it without comments and with every string emptied, `keyword` its first word."""

    text: str
    bare: str
    keyword: str

    @property
    def may_return_rows(self) -> bool:
        return self.keyword in _RETURN_ROWS


def split_statements(text: str) -> list[Statement]:
    """The statements in order; pieces of nothing but comments are left out."""
    statements = []
    piece: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "end" and not _is_compound(piece):
            statements.append(piece)
            piece = []
        else:
            piece.append(token)
    return [
        _statement(text, piece)
        for piece in [*statements, piece]
        if any(token.lastgroup != "comment" and not token[0].isspace() for token in piece)
    ]


def _statement(text: str, piece: list[re.Match[str]]) -> Statement:
    bare = "".join(_bare(token) for token in piece).strip()
    first = re.match(r"[\w$]*", bare)
    return Statement(
        text=text[piece[0].start() : piece[-1].end()].strip(),
        bare=bare,
        keyword=first[0].upper() if first else "",
    )


def _bare(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "string":
            return token[0][0] * 2
        case "comment":
            return " "
        case _:
            return token[0]


def _is_compound(piece: list[re.Match[str]]) -> bool:
    """Whether the statement so far opens a body that holds semicolons of its own; it then goes on to the end."""
    words = _words(piece)
    first = next(words, "")
    if first == "BEGIN":
        return next(words, "") == "NOT"
    if first not in {"CREATE", "ALTER"}:
        return False
    for word in words:
        if word == "DEFINER":
            next(words, "")  # the user …
            next(words, "")  # … and the host
        elif word not in _BEFORE_ROUTINE:
            return word in _ROUTINES
    return False


def _words(piece: list[re.Match[str]]) -> Iterator[str]:
    return (token[0].upper() for token in piece if token.lastgroup in {"word", "name", "string"})

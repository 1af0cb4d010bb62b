"""Parts a Presto or Trino text into its statements, of which the server takes one at a time."""

import re
from dataclasses import dataclass
from itertools import pairwise

# Only what may hide a semicolon needs knowing, and a backslash escapes nothing here.
_TOKEN = re.compile(
    r"""
      (?P<quoted> '[^']*'? | "[^"]*"? | `[^`]*`? )  # a doubled quote is the end of one and the start of the next
    | (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<word> \w+ )
    | (?P<end> ; )
    | (?P<other> [^'"`\-/;\w]+ | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_RETURN_ROWS = {
    "",  # starts with a parenthesis
    "SELECT",
    "WITH",
    "VALUES",
    "TABLE",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "EXPLAIN",
    "EXECUTE",
}
_OPENING = {"BEGIN", "CASE"}
_NO_END = {"IF", "LOOP", "WHILE", "REPEAT"}  # after END these close what did not count as opened


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement, its first word, and where in the whole text it starts; both are counted from 1."""

    text: str
    keyword: str
    line: int
    column: int

    @property
    def may_return_rows(self) -> bool:
        return self.keyword in _RETURN_ROWS


def split_statements(text: str) -> list[Statement]:
    """The statements in order; pieces of nothing but comments are left out."""
    statements = []
    piece: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "end" and not _is_open(piece):
            statements.append(piece)
            piece = []
        else:
            piece.append(token)
    return [_statement(text, piece) for piece in [*statements, piece] if _bare(piece)]


def _statement(text: str, piece: list[re.Match[str]]) -> Statement:
    start, end = piece[0].start(), piece[-1].end()
    start += len(text[start:end]) - len(text[start:end].lstrip())
    first = _bare(piece)[0]
    return Statement(
        text=text[start:end].rstrip(),
        keyword=first[0].upper() if first.lastgroup == "word" else "",
        line=text.count("\n", 0, start) + 1,
        column=start - text.rfind("\n", 0, start),
    )


def _is_open(piece: list[re.Match[str]]) -> bool:
    """Whether the statement so far is in the body of a function, which has semicolons of its own."""
    words = [token[0].upper() for token in _bare(piece)]
    if words[:2] != ["WITH", "FUNCTION"] and not (words[:1] == ["CREATE"] and "FUNCTION" in words[1:4]):
        return False
    depth = 0
    for before, word in pairwise(["", *words, ""]):
        if before == "END":
            depth -= word not in _NO_END
        elif word in _OPENING:
            depth += 1
    return depth > 0


def _bare(piece: list[re.Match[str]]) -> list[re.Match[str]]:
    return [token for token in piece if token.lastgroup != "comment" and not token[0].isspace()]

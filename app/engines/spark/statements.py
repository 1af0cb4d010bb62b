"""Parts a Spark SQL text into its statements, as far as quotes and comments go; the server judges the rest."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<raw> \b[rR](?: '[^']*'? | "[^"]*"? ) )  # no backslash escapes anything in these
    | (?P<string> '[^'\\]*(?:\\.[^'\\]*)*'? | "[^"\\]*(?:\\.[^"\\]*)*"? )
    | (?P<name> `[^`]*`? )
    | (?P<comment> --[^\n]* )
    | (?P<bracketed> /\* )  # these nest
    | (?P<word> \w+ )
    | (?P<end> ; )
    | (?P<other> \s+ | [^\s'"`\-/;\w]+ | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_BRACKET = re.compile(r"/\*|\*/")
_QUERIES = {"", "SELECT", "WITH", "FROM", "VALUES", "TABLE", "MAP", "REDUCE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"}
_SCRIPT = "BEGIN"  # opens a compound statement, whose semicolons are its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """`keyword` is its first word in upper case; empty where it starts with a parenthesis."""

    text: str
    keyword: str

    @property
    def is_query(self) -> bool:
        """Its rows are meant to be seen, where those of a SET or an INSERT are but an answer."""
        return self.keyword in _QUERIES or self.keyword == _SCRIPT


def split_statements(text: str) -> list[Statement]:
    """The statements in order; pieces of nothing but comments are left out."""
    statements: list[Statement] = []
    start = position = 0
    keyword: str | None = None
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:  # which cannot be: the last alternative takes any character
            break
        position = _bracket_end(text, position) if token.lastgroup == "bracketed" else token.end()
        if token.lastgroup == "end" and keyword != _SCRIPT:
            if keyword is not None:
                statements.append(Statement(text=text[start : token.start()].strip(), keyword=keyword))
            start, keyword = position, None
        elif keyword is None and token.lastgroup not in {"comment", "bracketed"} and not token[0].isspace():
            keyword = token[0].upper() if token.lastgroup == "word" else ""
    if keyword is not None:
        statements.append(Statement(text=text[start:].strip(), keyword=keyword))
    return statements


def _bracket_end(text: str, position: int) -> int:
    """Behind the comment that starts here, with those inside it; the text's end where it is never closed."""
    depth = 0
    for bracket in _BRACKET.finditer(text, position):
        depth += 1 if bracket[0] == "/*" else -1
        if depth == 0:
            return bracket.end()
    return len(text)

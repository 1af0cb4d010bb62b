"""Parts a text of Hive or Spark into its statements, as far as quotes and comments go; the server judges the rest."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<string> '[^'\\]*(?:\\.[^'\\]*)*'? | "[^"\\]*(?:\\.[^"\\]*)*"? )
    | (?P<name> `[^`]*`? )
    | (?P<comment> --[^\n]* | /\*(?!\+).*?(?:\*/|\Z) )
    | (?P<word> [\w$.]+ )
    | (?P<end> ; )
    | (?P<open> \( )
    | (?P<close> \) )
    | (?P<other> [^'"`\-/;()\w$.]+ | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_RETURN_ROWS = {
    "",  # starts with a parenthesis
    "SELECT",
    "WITH",
    "FROM",
    "VALUES",
    "TABLE",
    "MAP",
    "REDUCE",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "EXPLAIN",
    "LIST",
}
_OF_THE_SESSION = {"SET", "RESET", "USE", "ADD", "DELETE", "RELOAD"}
_TEMPORARY = {"TEMPORARY", "TEMP"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement; `words` are those outside quotes, comments and parentheses, in upper case."""

    text: str
    words: Sequence[str]

    @property
    def keyword(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def may_return_rows(self) -> bool:
        if self.keyword in {"WITH", "FROM", ""} and "INSERT" in self.words:
            return False
        if self.keyword == "SET":  # without a value it shows settings, with one Spark repeats it
            return "=" not in self.text
        return self.keyword in _RETURN_ROWS

    @property
    def is_of_the_session(self) -> bool:
        """Whether it changes what the session knows, at once, and leaves every table alone."""
        match list(self.words[:3]):
            case ["DELETE", kind, *_]:
                return kind in {"JAR", "JARS", "FILE", "FILES", "ARCHIVE", "ARCHIVES"}
            case ["CREATE" | "DROP", word, kind, *_] if word in _TEMPORARY:
                return kind in {"FUNCTION", "MACRO"}
            case ["CREATE", "OR", "REPLACE"]:
                return self.words[3:5] in (["TEMPORARY", "FUNCTION"], ["TEMP", "FUNCTION"])
        return self.keyword in _OF_THE_SESSION


def split_statements(text: str) -> list[Statement]:
    """The statements in order; pieces of nothing but comments are left out."""
    pieces: list[list[re.Match[str]]] = [[]]
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "end":
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [
        _statement(text, piece)
        for piece in pieces
        if any(token.lastgroup != "comment" and not token[0].isspace() for token in piece)
    ]


def output_index(statements: Sequence[Statement]) -> int:
    """Which statement's rows are the output: the last that may give rows, or the last of all."""
    found = [index for index, statement in enumerate(statements) if statement.may_return_rows]
    return found[-1] if found else len(statements) - 1


def _statement(text: str, piece: list[re.Match[str]]) -> Statement:
    said = [token for token in piece if token.lastgroup != "comment" and not token[0].isspace()]
    # Without comments at either end: Hive knows its own commands, such as SET, by the first word that it is sent.
    return Statement(text=text[said[0].start() : said[-1].end()].strip(), words=list(_words(said)))


def _words(tokens: Sequence[re.Match[str]]) -> Iterator[str]:
    depth = 0
    for token in tokens:
        depth += (token.lastgroup == "open") - (token.lastgroup == "close")
        if token.lastgroup == "word" and depth == 0:
            yield token[0].upper()
        elif token.lastgroup == "open" and token is tokens[0]:
            yield ""

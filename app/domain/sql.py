"""Reading a task's text in its dialect, within bounds, and saying where it is wrong."""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from app.domain.tasks import TaskType

MAX_REMEMBERED = 10_000  # characters; parsing takes 2 ms and more
MAX_CHARACTERS = 100_000  # sqlglot takes seconds for as much, and minutes for a megabyte
DIALECTS = {
    TaskType.HIVE: "hive",
    TaskType.PRESTO: "presto",
    TaskType.SPARK_SQL: "spark",
    TaskType.MYSQL: "mysql",
}
_TOKEN = re.compile(r"<Token token_type: \S+, text: (?P<text>.*), line: \d+, col: .*>")
_CLOSERS = {"'": "'", '"': '"', "`": "`", "/*": "*/"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LastQuery:
    """The last statement of a text that gives rows, whose tree is not to be changed; or why there is none."""

    tree: exp.Query | None = None
    problem: str | None = None


def last_query(type: TaskType, text: str) -> LastQuery:
    """Never raises: what cannot be read is told as a problem, with line and column where they can be known."""
    dialect = DIALECTS.get(type)
    if dialect is None:
        return LastQuery(problem="The columns of a PySpark script are known once it has run.")
    if len(text) > MAX_CHARACTERS:
        return LastQuery(problem=f"The text has more than {MAX_CHARACTERS} characters: too long to look for columns.")
    return _remembered(text, dialect) if len(text) <= MAX_REMEMBERED else _last_query(text, dialect)


def _last_query(text: str, dialect: str) -> LastQuery:
    try:
        statements = sqlglot.parse(text, read=dialect)
    except ParseError as error:
        return LastQuery(problem=_place(error))
    except TokenError:
        return LastQuery(problem=_unfinished(text, dialect))
    except RecursionError:
        return LastQuery(problem="The text is nested too deeply to be read.")
    except SqlglotError as error:
        return LastQuery(problem=f"The text cannot be read: {error}")
    queries = [statement for statement in statements if isinstance(statement, exp.Query)]
    if not queries:
        return LastQuery(problem="The text has no SELECT, so it gives no columns.")
    return LastQuery(tree=queries[-1])


_remembered = lru_cache(maxsize=2000)(_last_query)  # a page asks for all tasks of a playground, and they seldom change


def _place(error: ParseError) -> str:
    for fault in error.errors:
        line, column, found = fault.get("line"), fault.get("col"), fault.get("highlight") or ""
        if line is not None and column is not None:
            first = max(1, column - len(found) + 1)  # sqlglot's column is where the token ends
            return f"Line {line}, column {first}: {_in_words(fault.get('description') or '', found)}"
    return f"The text cannot be read: {error}"


def _in_words(description: str, found: str) -> str:
    """What sqlglot says, without the names of its classes."""
    if "Unexpected token" in description:
        return f"{found} is not expected here"
    if description.startswith("Required keyword"):
        return f"something is missing after {found}"
    return _TOKEN.sub(lambda token: token["text"], description)


def _unfinished(text: str, dialect: str) -> str:
    """Where the quote or comment begins that never ends: what closes it makes the text whole."""
    for opener, closer in _CLOSERS.items():
        with suppress(TokenError):
            tokens = sqlglot.tokenize(text + closer, read=dialect)
            last = tokens[-1] if tokens else None
            if opener == "/*":
                start = text.find(opener, 0 if last is None else last.end + 1)
            else:
                start = -1 if last is None else last.start
            line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
            return f"Line {line}, column {column}: {opener} is never closed by {closer}"
    return "The text cannot be read: a quote or a comment in it is never closed."

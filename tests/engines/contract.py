"""What the contract suite has to know of an engine; each engine's package of tests says it in its candidate.py."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.engines.base import Engine
from tests.engines.driving import Driver

AWKWARD = "it's \"quoted\" `back` $HOME $(id) ${x} \n two lines \t %s {} ''' ; -- /* */ # ünï 🙂 end"
SQL_TEXT = "'" + AWKWARD.replace("'", "''") + "'"
MANY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An engine, its texts by their names in the suite, and how to see from outside whether it still works.

    `values`: one row of Id 1, NULL, an empty string, a text with an emoji, a decimal of 2.50. `awkward`: AWKWARD as
    `text`. `many`: MANY rows of a number and a text of some 40 characters. `endless`: never ends by itself. `empty`: a
    column `a` and no row. `wrong`: a syntax error. `missing`: reads the table not_there. `logged`: short, and its log
    has lines. `twin` makes another engine for the same server, where handles are durable.
    `served_here`: bytes that a large output may take up in the service's stand-in, where it is in the tests' process.
    """

    driver: Driver
    queries: Mapping[str, str]
    gone: Callable[[], Awaitable[bool]]
    begins_after: float = 0.5  # seconds until the endless text is at work in the engine
    twin: Callable[[], Engine] | None = None
    served_here: int = 0

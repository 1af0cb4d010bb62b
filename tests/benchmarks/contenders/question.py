"""What every contender is asked and answers, as JSON: these programs run in environments that have nothing of ours.

The question is the program's one argument, the answer the last line of its output. Seconds are without start-up: from
the end of the imports to the counts.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    path: str
    delimiter: str
    columns: list[str]  # in the file's order


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Compare by the `key` or, without one, by whole rows; `kinds` says what the left side's columns hold, in order."""

    left: File
    right: File
    key: str | None
    kinds: dict[str, str]

    @property
    def values(self) -> list[str]:
        return [name for name in self.kinds if name != self.key]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        document = json.loads(text)
        sides = {side: File(**document[side]) for side in ("left", "right")}
        return cls(**document | sides)


def answer(compare: Callable[[Question], dict[str, Any]]) -> None:
    question = Question.from_json(sys.argv[1])
    begin = perf_counter()
    counts = compare(question)
    print(json.dumps({"seconds": perf_counter() - begin, "counts": counts}))  # noqa: T201 - what the caller reads

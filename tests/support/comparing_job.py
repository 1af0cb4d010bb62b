"""The comparing job without a Spark: its own functions are called as workers and driver do, on rows in this process.

What Spark does between them (cutting files into blocks, counting equal rows, gathering groups, adding up, sorting) is
written out here in plain Python. Where Spark promises no order, `chance` makes one.
"""

import io
import json
import re
from collections import defaultdict, namedtuple
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from app.domain.reconciliation.exact import Duplicates
from app.domain.reconciliation.mapping import check_mapping, find_columns
from app.domain.reconciliation.merging import DifferenceLines, Outcome, Totals, merged_result, tell
from app.domain.reconciliation.records import MalformedError, Side
from app.domain.reconciliation.result import DifferenceKind, ReconciliationResult, RowDifference
from app.domain.reconciliation.tally import Tally
from app.engines.comparing import workers
from app.engines.comparing.question import ComparedOutput, Question
from app.engines.comparing.records import STAYS, block_states, header_of, read_header

MadeRow = namedtuple("MadeRow", re.findall(r"(\w+):", workers.ROW))  # noqa: PYI024 - its columns are the job's text
OutcomeRow = namedtuple("OutcomeRow", re.findall(r"(\w+):", workers.OUTCOMES))  # noqa: PYI024 - likewise
BLOCK_BITS = 33  # of an id; the rest is the place in its block


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    result: ReconciliationResult
    rows: list[RowDifference]
    text: bytes  # of the table of all differences


class First(NamedTuple):
    id: int
    written: bytes | None


@dataclass(slots=True)
class Distinct:
    where: bytes | None
    canonical: bytes
    left_rows: int = 0
    right_rows: int = 0
    left_first: First | None = None
    right_first: First | None = None

    @property
    def differs(self) -> bool:
        return self.left_rows != self.right_rows


@dataclass(slots=True)
class Group:
    rest: list[Distinct]
    left_count: int = 0
    right_count: int = 0


def compare(left: bytes, right: bytes, question: Question, *, chance: Random) -> Compared:
    """Raises: InvalidError, MalformedError."""
    check_mapping(question.mapping)
    files = File(left, question.left, chance), File(right, question.right, chance)
    written = json.dumps(question.to_document())
    rows = [
        (place == 0, id_, row)
        for place, file in enumerate(files)
        for id_, row in file.made(question, written, path_side=("left", "right")[place])
    ]
    problems = [(not on_left, id_, row.line, row.problem) for on_left, id_, row in rows if row.problem is not None]
    if problems:
        on_right, id_, line, problem = min(problems)
        raise MalformedError(files[on_right].output.name, files[on_right].line_of(id_) + line - 1, problem)
    return Gathering(question, written, distinct(rows), chance).compared()


class File:
    """A side's lines, in blocks as a cluster reads them; the header is in the first."""

    def __init__(self, content: bytes, output: ComparedOutput, chance: Random) -> None:
        self.output = output
        content = content.removeprefix(b"\xef\xbb\xbf")  # Hadoop's reader of lines takes it off
        lines = content.removesuffix(b"\n").split(b"\n") if content else []
        self._height = header_of(lines, output.delimiter) or len(lines)
        header = b"".join(line + b"\n" for line in lines[: self._height])
        side = Side(
            open=lambda: io.BytesIO(header), size_bytes=len(header), delimiter=output.delimiter, name=output.name
        )
        self.labels = read_header(side)
        self.header = header.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n")
        self._blocks: list[list[tuple[int, bytes]]] = []
        start, id_ = self._height, self._height
        while start < len(lines):
            end = start + chance.choice([1, 1, 1, 2, 1000])
            self._blocks.append([(id_ + place, line) for place, line in enumerate(lines[start:end])])
            start, id_ = end, len(self._blocks) << BLOCK_BITS
        self.records = list(self._found())

    def made(self, question: Question, written: str, *, path_side: str) -> Iterator[tuple[int, Any]]:
        """The job's rows by the ids of their records; of a blank line one without anything."""
        names = [pair.left if path_side == "left" else pair.right for pair in question.mapping]
        places = find_columns(names, self.labels, side=self.output.name, path_side=path_side)
        making = (written, places, len(self.labels), self.output.delimiter, self.header)
        for id_, record in self.records:
            columns = workers.made(making, record)
            yield id_, MadeRow(*[None] * len(MadeRow._fields) if columns is None else columns)

    def line_of(self, id_: int) -> int:
        return sum(id_ > other for block in self._blocks for other, _ in block) + self._height + 1

    def _found(self) -> Iterator[tuple[int, bytes]]:
        """Each block knows nothing of the others but what `block_states` says of its start."""
        told = [(place, *self._told(block)) for place, block in enumerate(self._blocks)]
        pieces: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for (_, is_open, first), block in zip(block_states(told), self._blocks, strict=True):
            inside = is_open
            for id_, line in block:
                first = first if inside else id_  # noqa: PLW2901 - it goes on from what the block was brought
                pieces[first].append((id_, line))
                inside = bool(self._change(line) >> inside & 1)
        for first, found in pieces.items():
            yield first, found[0][1] if len(found) == 1 else workers.joined(found)

    def _told(self, block: list[tuple[int, bytes]]) -> tuple[int, tuple[bool, int] | None, tuple[int | None, ...]]:
        """As `block_states` asks it."""
        changes = [self._change(line) for _, line in block]
        turns = list(accumulate(change == 1 for change in changes))
        sets = [(change == 3, before) for change, before in zip(changes, turns, strict=True) if change in (0, 3)]
        begins: list[int | None] = []
        for inside in (False, True):
            last = None
            for (id_, _), change in zip(block, changes, strict=True):
                last = last if inside else id_
                inside = bool(change >> inside & 1)  # noqa: PLW2901 - the state goes on
            begins.append(last)
        return turns[-1], sets[-1] if sets else None, tuple(begins)

    def _change(self, line: bytes) -> int:
        return workers.change(self.output.delimiter, line) if b'"' in line else STAYS


def distinct(rows: Iterable[tuple[bool, int, Any]]) -> list[Distinct]:
    found: dict[tuple[bytes | None, bytes], Distinct] = {}
    for on_left, id_, row in rows:
        if row.canonical is None:
            continue
        each = found.setdefault((row.where, row.canonical), Distinct(row.where, row.canonical))
        first = First(id_, row.written)
        if on_left:
            each.left_rows += 1
            each.left_first = min(each.left_first or first, first)
        else:
            each.right_rows += 1
            each.right_first = min(each.right_first or first, first)
    return list(found.values())


class Gathering:
    def __init__(self, question: Question, written: str, rows: list[Distinct], chance: Random) -> None:
        self._question = question
        self._written = written
        self._rows = rows
        self._chance = chance
        self._keyed = any(pair.key for pair in question.mapping)
        self._tolerant = bool(question.options.absolute_tolerance or question.options.relative_tolerance)
        self._groups: dict[bytes | None, Group] = {}
        chance.shuffle(self._rows)
        outcomes = [
            OutcomeRow(*columns)
            for group in self._gathered()
            for columns in workers.settled(written, group.rest, group.left_count, group.right_count)
        ]
        chance.shuffle(outcomes)
        self._outcomes = outcomes

    def compared(self) -> Compared:
        question = self._question
        differing = [row for row in self._outcomes if row.kind != DifferenceKind.COMMON.value]
        rows: list[RowDifference] = []
        tally = Tally(mapping=question.mapping, sample_limit=0, sink=rows.append)
        for row in differing:
            tell(tally, workers.outcome_of(row))
        header = DifferenceLines(mapping=question.mapping).header
        lines = [header, *(workers.line_of(self._written, row) for row in differing)]
        return Compared(result=self._result(), rows=rows, text=b"\n".join([*lines, b""]))

    def _gathered(self) -> list[Group]:
        """The groups that something is left over of."""
        if not self._keyed and not self._tolerant:
            return [Group([row]) for row in self._rows if row.differs]
        for row in self._rows:
            group = self._groups.setdefault(row.where, Group([]))
            group.rest += [row] if row.differs else []
            if self._keyed:
                group.left_count += row.left_rows
                group.right_count += row.right_rows
        return [group for group in self._groups.values() if group.rest]

    def _result(self) -> ReconciliationResult:
        question = self._question
        counts = {kind: sum(row.rows for row in self._outcomes if row.kind == kind.value) for kind in DifferenceKind}
        counts[DifferenceKind.COMMON] += sum(min(row.left_rows, row.right_rows) for row in self._rows)
        totals = Totals(
            left_rows=sum(row.left_rows for row in self._rows),
            right_rows=sum(row.right_rows for row in self._rows),
            counts=counts,
            columns=self._columns(),
            repeated=list(self._repeated()) if self._keyed else (),
        )
        samples = [*self._common()]
        for kind in DifferenceKind:
            if kind is not DifferenceKind.COMMON:
                samples += self._lowest(kind, "sort")
        return merged_result(
            totals,
            samples,
            mapping=question.mapping,
            options=question.options,
            sample_limit=question.sample_limit,
        )

    def _columns(self) -> dict[int, tuple[int, float | None]]:
        found: dict[int, tuple[int, float | None]] = {}
        for row in self._outcomes:
            for place, apart in zip(row.places, row.apart, strict=True):
                count, most = found.get(place, (0, None))
                known = [each for each in (most, apart) if each is not None]
                found[place] = (count + row.rows, max(known, default=None))
        return found

    def _repeated(self) -> Iterator[Duplicates]:
        for output, count in ((self._question.left, "left_count"), (self._question.right, "right_count")):
            duplicates = Duplicates(output.name)
            rows = {where: getattr(group, count) for where, group in self._groups.items() if where is not None}
            several = [each for each in rows.values() if each > 1]
            if several:
                most = max(several)
                examples = [where for where, each in rows.items() if each == most]
                lowest = min(examples, key=workers.key_order)
                duplicates.merge(
                    keys=len(several), rows=sum(several), most=most, examples=[lowest], equals=len(examples)
                )
            yield duplicates

    def _lowest(self, kind: DifferenceKind, *order: str) -> Iterator[Outcome]:
        rows = sorted((row for row in self._outcomes if row.kind == kind.value), key=attrgetter(*order))
        return map(workers.outcome_of, rows[: self._question.sample_limit])

    def _common(self) -> Iterator[Outcome]:
        if self._tolerant:
            yield from self._lowest(DifferenceKind.COMMON, "left_id", "right_id")
        equal = [row for row in self._rows if row.left_first is not None and row.right_first is not None]
        equal.sort(key=lambda row: (row.left_first, row.right_first))
        for row in equal[: self._question.sample_limit]:
            group = self._groups[row.where] if self._keyed else None
            here = row.left_rows, row.right_rows
            counts = here if group is None else (group.left_count, group.right_count)
            yield Outcome(
                kind=DifferenceKind.COMMON,
                rows=min(here),
                left=workers.occurrence(row.left_first, row.canonical),
                right=workers.occurrence(row.right_first, row.canonical),
                left_count=counts[0],
                right_count=counts[1],
            )

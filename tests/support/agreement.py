"""Whether the methods of a reconciliation agree on a trial, in every word; and the least of it on which they do not."""

import io
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from app.domain.errors import DomainError
from app.domain.reconciliation.cells import CanonicalCells
from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import Records, Side
from app.domain.reconciliation.result import DifferenceKind, ReconciliationResult, RowDifference
from app.engines.comparing.question import ComparedOutput, Question
from tests.support import comparing_job
from tests.support.awkward import Trial, Written, stream

_HELD_BYTES = 1 << 20
SHOWN = 400  # characters of a fact that is not agreed on


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """All that a comparison says, and the differing rows that it told, or the lines that it wrote; or its refusal."""

    said: dict[str, Any]
    rows: Counter[RowDifference] = field(default_factory=Counter)
    lines: Counter[tuple[str | None, ...]] = field(default_factory=Counter)


def disagreement(trial: Trial) -> str | None:
    """What the methods do not agree on, with both sayings; None where they do."""
    exact = answer(trial, ReconciliationMethod.EXACT)
    told, written = (answer(trial, ReconciliationMethod.BLOOM, to_file=to_file) for to_file in (False, True))
    job = answer_of_job(trial)
    for each in (exact, told, written, job):
        if "crashed" in each.said:
            return f"crashed: {each.said['crashed']}"
    differing = [
        *_facts(exact, told),
        *_facts(exact, written),
        *_entries("rows", exact.rows, told.rows),
        *_entries("lines", exact.lines, told.lines),
        *_entries("lines", exact.lines, written.lines),
    ]
    of_job = [
        *_facts(exact, job),
        *_entries("rows", exact.rows, job.rows),
        *_entries("lines", exact.lines, job.lines),
    ]
    differing += [f"by the job, {what}" for what in of_job]
    if not differing and "refused" not in exact.said:
        differing += broken_promises(trial, exact)
    return "; ".join(differing) or None


def _facts(exact: Answer, other: Answer) -> Iterator[str]:
    """A refusal says nothing else; the job leaves nothing behind on this machine."""
    facts = ["refused"] if "refused" in exact.said | other.said else [*exact.said]
    for fact in facts:
        one, another = exact.said.get(fact), other.said.get(fact)
        if one != another and (fact in other.said or fact == "refused"):
            yield f"{fact}: {_short(one)} against {_short(another)}"


def _entries(name: str, exact: Counter[Any], other: Counter[Any]) -> Iterator[str]:
    if exact != other:
        yield f"{name}: {_short([*(exact - other)])} against {_short([*(other - exact)])}"


def answer(trial: Trial, method: ReconciliationMethod, *, verify: bool = True, to_file: bool = False) -> Answer:
    rows: Counter[RowDifference] = Counter()
    pieces: list[bytes] = []
    shares: list[float] = []
    options = trial.options
    if not verify:
        options = replace(options, absolute_tolerance=0.0, relative_tolerance=0.0)
    table = DifferencesTable(mapping=trial.mapping, write=lambda text: pieces.append(bytes(text)), rewind=pieces.clear)

    with tempfile.TemporaryDirectory() as folder:
        spill = Path(folder) / "spill"
        spill.mkdir()
        try:
            result = compare(
                _side(trial.left, trial.reading, Path(folder) / "left.csv", "Left"),
                _side(trial.right, trial.reading, Path(folder) / "right.csv", "Right"),
                trial.mapping,
                replace(options, method=method, verify=verify),
                thresholds=_thresholds(trial, held=to_file),
                spill_dir=spill,
                differences=table if to_file else _Both(rows, table),
                sample_limit=trial.sample_limit,
                progress=shares.append,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is found out about
            return _no_answer(error)
        table.finish()
        said = _said(result)
        said["left behind"] = [path.name for path in spill.iterdir()]
        said["progress rises to its end"] = shares == sorted(shares) and shares[-1:] == [1.0]
    return Answer(said=said, rows=rows, lines=lines_of(b"".join(pieces)))


@dataclass(frozen=True)
class _Both:
    """A sink that counts the rows, and writes them one by one."""

    rows: Counter[RowDifference]
    table: DifferencesTable

    def __call__(self, row: RowDifference) -> None:
        self.rows[row] += 1
        self.table(row)

    def can_rewind(self) -> bool:
        return True

    def rewind(self) -> None:
        self.rows.clear()
        self.table.rewind()


def answer_of_job(trial: Trial) -> Answer:
    """As many machines compare, in blocks and an order that the trial's seed makes."""
    chance = Random(trial.seed)  # noqa: S311 - it must be repeatable
    try:
        left, right = (
            ComparedOutput(uri="", size_bytes=len(side.content), delimiter=side.delimiter, name=name)
            for side, name in ((trial.left, "Left"), (trial.right, "Right"))
        )
        question = Question(
            left=left, right=right, mapping=trial.mapping, options=trial.options, sample_limit=trial.sample_limit
        )
        compared = comparing_job.compare(trial.left.content, trial.right.content, question, chance=chance)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is found out about
        return _no_answer(error)
    return Answer(said=_said(compared.result), rows=Counter(compared.rows), lines=lines_of(compared.text))


def _said(result: ReconciliationResult) -> dict[str, Any]:
    return {name: value for name, value in asdict(result).items() if name != "method"}


def _no_answer(error: Exception) -> Answer:
    if isinstance(error, DomainError):
        return Answer(said={"refused": f"{type(error).__name__} {error.code}: {error.message}"})
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Answer(said={"crashed": f"{error!r} in {place.filename}:{place.lineno}"})


def _thresholds(trial: Trial, *, held: bool) -> Thresholds:
    """The records are held in memory, or read again; in every other trial they go to disk at the first reading."""
    thresholds = replace(trial.thresholds, held_bytes=_HELD_BYTES if held else 0)
    return replace(thresholds, gathered_share=0.0, sample_bytes=1) if len(trial.left.content) % 2 else thresholds


def lines_of(text: bytes) -> Counter[tuple[str | None, ...]]:
    """The records of a table of differences, however they are quoted."""
    side = Side(open=lambda: io.BytesIO(text), size_bytes=len(text), delimiter=",", name="The table of differences")
    with Records(side, lambda _: None) as records:
        return Counter([records.header, *map(tuple, records)])


def broken_promises(trial: Trial, exact: Answer) -> list[str]:
    """What an answer without verification must hold to, where the true one is known."""
    if trial.options.absolute_tolerance or trial.options.relative_tolerance:
        return []
    unverified = answer(trial, ReconciliationMethod.BLOOM, verify=False)
    said = unverified.said
    options = trial.options
    canonical = CanonicalCells(trim=options.trim, empty_is_null=options.empty_is_null, ignore_case=options.ignore_case)
    broken: list[str] = []
    if "crashed" in said or "refused" in said:
        return [f"unverified: {said}"]
    for side, kind in (("left", DifferenceKind.LEFT_ONLY), ("right", DifferenceKind.RIGHT_ONLY)):
        if said[f"{side}_only_row_count"] > exact.said[f"{side}_only_row_count"]:
            broken.append(f"unverified: more {kind} than there are")
        true, told = (
            {tuple(map(canonical.__getitem__, row.left or row.right or ())) for row in each.rows if row.kind is kind}
            for each in (exact, unverified)
        )
        if told - true:
            broken.append(f"unverified: tells a {kind} row that is none")
        parts = ("common", "changed", f"{side}_only")
        if said[f"{side}_row_count"] != sum(said[f"{part}_row_count"] for part in parts):
            broken.append(f"unverified: the {side} rows do not add up")
    return broken


def smallest(trial: Trial, *, fails: Callable[[Trial], bool]) -> Trial:
    """A trial that still fails, and from which no line, no option and no cell's piece can be taken any more."""
    plain: list[Callable[[Trial], dict[str, Any]]] = [
        lambda _: {"reading": "whole"},
        lambda _: {"sample_limit": 0},
        lambda _: {"thresholds": Thresholds()},
        lambda each: {"thresholds": replace(each.thresholds, block_bytes=512 << 10)},
        lambda each: {"thresholds": replace(each.thresholds, block_rows=1 << 16)},
        lambda _: {"options": ReconciliationOptions()},
        lambda each: {"options": replace(each.options, absolute_tolerance=0.0, relative_tolerance=0.0)},
        lambda each: {"options": replace(each.options, trim=False)},
        lambda each: {"options": replace(each.options, ignore_case=False)},
        lambda each: {"options": replace(each.options, empty_is_null=False)},
    ]
    pairs = [lambda each, pair=pair: {"mapping": tuple(p for p in each.mapping if p != pair)} for pair in trial.mapping]
    for change in (*plain, *pairs):
        candidate = replace(trial, **change(trial))
        if candidate.mapping and fails(candidate):
            trial = candidate
    while True:
        before = len(trial.left.content) + len(trial.right.content)
        for side in ("left", "right"):
            for separator in (b"\n", None):
                trial = _shortened(trial, side, separator, fails)
        if len(trial.left.content) + len(trial.right.content) == before:
            return trial


def _shortened(trial: Trial, side: str, separator: bytes | None, fails: Callable[[Trial], bool]) -> Trial:
    """Takes away ever smaller runs of lines, or of bytes."""
    written: Written = getattr(trial, side)
    content = written.content
    pieces = content.splitlines(keepends=True) if separator else [content[at : at + 1] for at in range(len(content))]
    if len(pieces) > (20_000 if separator else 2_000):
        return trial
    run = max(len(pieces) // 2, 1)
    while run:
        place = 0
        while place < len(pieces):
            fewer = pieces[:place] + pieces[place + run :]
            candidate = replace(trial, **{side: replace(written, content=b"".join(fewer))})
            if fails(candidate):
                trial, pieces = candidate, fewer
            else:
                place += run
        run //= 2
    return trial


def differing_trials(trials: Iterator[Trial]) -> Iterator[tuple[Trial, str]]:
    for trial in trials:
        found = disagreement(trial)
        if found:
            yield trial, found


def _side(written: Written, reading: str, path: Path, name: str) -> Side:
    def opened() -> Any:
        return path.open("rb") if reading == "file" else stream(written.content, reading)

    if reading == "file":
        path.write_bytes(written.content)
    return Side(open=opened, size_bytes=len(written.content), delimiter=written.delimiter, name=name)


def _short(fact: object) -> str:
    text = repr(fact)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

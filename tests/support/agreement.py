"""Whether the methods of a reconciliation agree on a trial, in every word; and the least of it on which they do not."""

import io
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from app.domain.errors import DomainError
from app.domain.reconciliation import scan
from app.domain.reconciliation.cells import CanonicalCells
from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import Records, Side
from app.domain.reconciliation.result import DifferenceKind, RowDifference
from tests.support.awkward import Trial, Written, stream

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
    for each in (exact, told, written):
        if "crashed" in each.said:
            return f"crashed: {each.said['crashed']}"
    differing = [
        f"{fact}: {_short(exact.said.get(fact))} against {_short(large.said.get(fact))}"
        for large in (told, written)
        for fact in ({"refused": None} if "refused" in exact.said | large.said else exact.said)
        if exact.said.get(fact) != large.said.get(fact)
    ]
    lines = answer(trial, ReconciliationMethod.EXACT, to_file=True).lines
    if exact.rows != told.rows:
        differing.append(f"rows: {_short([*(exact.rows - told.rows)])} against {_short([*(told.rows - exact.rows)])}")
    if lines != written.lines:
        differing.append(f"lines: {_short([*(lines - written.lines)])} against {_short([*(written.lines - lines)])}")
    if not differing and "refused" not in exact.said:
        differing += broken_promises(trial, exact)
    return "; ".join(differing) or None


def answer(trial: Trial, method: ReconciliationMethod, *, verify: bool = True, to_file: bool = False) -> Answer:
    rows: Counter[RowDifference] = Counter()
    pieces: list[bytes] = []
    shares: list[float] = []
    options = trial.options
    if not verify:
        options = replace(options, absolute_tolerance=0.0, relative_tolerance=0.0)
    table = DifferencesTable(mapping=trial.mapping, write=lambda text: pieces.append(bytes(text)))
    with tempfile.TemporaryDirectory() as folder:
        spill = Path(folder) / "spill"
        spill.mkdir()
        try:
            with (
                patch.multiple(
                    scan,
                    _SMALLEST_BLOCK_BYTES=trial.block_bytes,
                    _LARGEST_BLOCK_BYTES=trial.block_bytes,
                    _ROWS_AT_ONCE=trial.rows_at_once,
                ),
            ):
                result = compare(
                    _side(trial.left, trial.reading, Path(folder) / "left.csv", "Left"),
                    _side(trial.right, trial.reading, Path(folder) / "right.csv", "Right"),
                    trial.mapping,
                    replace(options, method=method, verify=verify),
                    thresholds=trial.thresholds,
                    spill_dir=spill,
                    differences=table if to_file else lambda row: rows.update([row]),
                    sample_limit=trial.sample_limit,
                    progress=shares.append,
                )
        except DomainError as error:
            return Answer(said={"refused": f"{type(error).__name__} {error.code}: {error.message}"})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is found out about
            place = traceback.extract_tb(error.__traceback__)[-1]
            return Answer(said={"crashed": f"{error!r} in {place.filename}:{place.lineno}"})
        table.finish()
        said = {name: value for name, value in asdict(result).items() if name != "method"}
        said["left behind"] = [path.name for path in spill.iterdir()]
        said["progress rises to its end"] = shares == sorted(shares) and shares[-1:] == [1.0]
    return Answer(said=said, rows=rows, lines=lines_of(b"".join(pieces)))


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
    plain: list[dict[str, Any]] = [
        {"reading": "whole"},
        {"sample_limit": 0},
        {"block_bytes": 512 << 10},
        {"rows_at_once": 1 << 16},
        {"thresholds": Thresholds()},
        {"options": ReconciliationOptions()},
        {"options": replace(trial.options, absolute_tolerance=0.0, relative_tolerance=0.0)},
        {"options": replace(trial.options, trim=False)},
        {"options": replace(trial.options, ignore_case=False)},
        {"options": replace(trial.options, empty_is_null=False)},
        *({"mapping": trial.mapping[:place] + trial.mapping[place + 1 :]} for place in range(len(trial.mapping))),
    ]
    for change in plain:
        candidate = replace(trial, **change)
        trial = candidate if fails(candidate) else trial
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

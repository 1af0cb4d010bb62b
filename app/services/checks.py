"""Checks of tasks' outputs: what a person may set, and what a worker finds out about an output that is there."""

import asyncio
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any

from app.domain.checks.checks import DataCheck, checks_of
from app.domain.checks.results import CheckResult, Measure, Rows, judge
from app.domain.checks.rules import RowCount, Rule, Sql, rule_of, rules_of
from app.domain.errors import InvalidError
from app.domain.identity import utc_now
from app.domain.outputs import StoredOutput
from app.models import TaskRun
from app.outputs.base import OutputStore
from app.outputs.check_syntax import problem_of, wants_a_look
from app.outputs.inspection import Inspection
from app.services.check_process import inspected_apart
from app.store.database import Database, DatabaseAwayError

AT_ONCE = 4  # outputs that a worker looks at; each takes a thread, and memory up to a bound
INTERRUPT_AGAIN = 0.02  # seconds
TOO_MUCH_MEMORY = "The process of the queries was ended, most likely for want of memory; have them take less."
RETRY_DELAY = 0.5  # seconds between two looks whether the database is back
LEFT_BEHIND = 24 * 3600  # seconds after which what a killed process has spilled is nobody's any more


async def checked_checks(checks: Sequence[DataCheck]) -> list[dict[str, Any]] | None:
    """What to keep with a task. Raises: InvalidError, TooLargeError, with paths below `checks`."""
    rules = rules_of(checks)
    if any(map(wants_a_look, rules)):
        await asyncio.to_thread(_refuse_bad_syntax, rules)
    return [check.to_document() for check in checks] or None


class OutputChecks:
    """Runs the checks of a task run's snapshot over its output; `spill_dir` is for what finds no room in memory."""

    def __init__(self, *, database: Database, outputs: OutputStore, spill_dir: Path) -> None:
        self._database = database
        self._outputs = outputs
        self._spill_dir = spill_dir
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="checks")

    async def run(self, task_run: TaskRun, output: StoredOutput) -> tuple[CheckResult, ...]:
        """In the order of the snapshot; being cancelled stops the look.

        Raises: NotFoundError, StorageError, OSError.
        """
        at = utc_now()
        checks = checks_of(task_run.checks)
        rules = [rule_of(check) for check in checks]
        rows = Rows(count=output.row_count, before=await self._row_count_before(task_run, rules))
        measures = await self._measures(output, checks, rules)
        return tuple(
            judge(check, rule, measure, rows=rows, at=at)
            for check, rule, measure in zip(checks, rules, measures, strict=True)
        )

    async def _row_count_before(self, task_run: TaskRun, rules: Sequence[Rule]) -> int | None:
        if not any(isinstance(rule, RowCount) and rule.max_change_percent is not None for rule in rules):
            return None
        while True:
            try:
                async with self._database.read() as unit:
                    return await unit.runs.last_row_count(task_run)
            except DatabaseAwayError:  # no reason to throw the output away
                await asyncio.sleep(RETRY_DELAY)

    async def _measures(
        self, output: StoredOutput, checks: Sequence[DataCheck], rules: Sequence[Rule]
    ) -> list[Measure]:
        if all(isinstance(rule, RowCount) for rule in rules):  # the output's facts have it
            return [Measure() for _ in rules]
        # A turn is waited for before the copy is made, so that copies do not pile up.
        async with self._turns, self._outputs.file(output.location) as path:
            await asyncio.to_thread(_prepare, self._spill_dir)
            if not any(isinstance(rule, Sql) for rule in rules):
                return await self._in_thread(path, output, rules)
            measures = await inspected_apart(checks, path=path, output=output, spill_dir=self._spill_dir)
            if measures is not None:
                return measures
            counted = iter(await self._in_thread(path, output, [rule for rule in rules if not isinstance(rule, Sql)]))
            return [Measure(problem=TOO_MUCH_MEMORY) if isinstance(rule, Sql) else next(counted) for rule in rules]

    async def _in_thread(self, path: Path, output: StoredOutput, rules: Sequence[Rule]) -> list[Measure]:
        inspection = Inspection(path=path, output=output, spill_dir=self._spill_dir)
        return await _ended(self._threads.submit(inspection.run, rules), inspection)


async def _ended(work: "Future[list[Measure]]", inspection: Inspection) -> list[Measure]:
    """The thread must have let go of the file before this returns, cancelled or not."""
    future = asyncio.wrap_future(work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        work.cancel()
        while not future.done():
            inspection.interrupt()
            await asyncio.wait({future}, timeout=INTERRUPT_AGAIN)
        if not future.cancelled():
            future.exception()  # that it was stopped
        raise


def _refuse_bad_syntax(rules: Sequence[Rule]) -> None:
    for index, rule in enumerate(rules):
        if (found := problem_of(rule)) is not None:
            argument, problem = found
            raise InvalidError(problem, path=("checks", str(index), "arguments", argument))


def _prepare(folder: Path) -> None:
    """Make the folder, and remove what killed processes have left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # another thread's, which has just ended
            if path.stat().st_mtime < time() - LEFT_BEHIND:
                shutil.rmtree(path, ignore_errors=True)

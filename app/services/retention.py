"""Retention: deletes what has ended and is older, or more, than the rules keep; little by little.

Rows go first, in the transaction that also notes which files to delete (app.services.discards): a process may be
killed at any moment, and neither does a row name a file that is gone, nor does a file stay that no row names.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.domain.identity import utc_now
from app.domain.retention import Rules
from app.outputs.locations import differences_location, run_location, run_of, writer_of
from app.store.database import Database
from app.store.retention import EndedPair, EndedRun
from app.store.unit_of_work import UnitOfWork

BATCH = 200  # runs looked at together
ROWS = 1_000  # deleted in one statement
PAUSE = timedelta(milliseconds=20)  # after each transaction, so that others come first

log = structlog.get_logger()


@dataclass(kw_only=True, slots=True)
class Pruned:
    """How much a pass has deleted."""

    runs: int = 0
    reconciliation_runs: int = 0
    outputs: int = 0
    log_lines: int = 0


class RetentionService:
    """`turn` is called as work goes on."""

    def __init__(
        self,
        *,
        database: Database,
        rules: Rules,
        clock: Callable[[], datetime] = utc_now,
        turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock
        self._turn = turn

    async def prune(self) -> Pruned:
        """One pass over all that is old enough; safe beside another one."""
        pruned, at = Pruned(), self._clock()
        if self._rules:
            await self._prune_pairs(pruned, at)  # first: a comparison in the history keeps the runs of its sides
            await self._prune_by_age(pruned, at)
            await self._prune_by_count(pruned, at)
        if pruned != Pruned():
            log.info(
                "retention.pruned",
                runs=pruned.runs,
                reconciliation_runs=pruned.reconciliation_runs,
                outputs=pruned.outputs,
                log_lines=pruned.log_lines,
            )
        return pruned

    async def _rest(self) -> None:
        self._turn()
        await asyncio.sleep(PAUSE.total_seconds())

    # ---- what there is to look at

    async def _prune_pairs(self, pruned: Pruned, at: datetime) -> None:
        after: UUID | None = None
        while True:
            async with self._database.read() as unit:
                found = await unit.retention.reconciliations(after=after, limit=BATCH)
            for reconciliation_id in found:
                async with self._database.read() as unit:
                    pairs = await unit.retention.ended_pairs(reconciliation_id)
                for newer, pair in enumerate(pairs[1:], start=1):  # the newest one is kept
                    await self._prune_pair(pair, newer, pruned, at)
            if len(found) < BATCH:
                return
            after = found[-1]

    async def _prune_by_age(self, pruned: Pruned, at: datetime) -> None:
        youngest, after = self._rules.youngest, None
        while youngest is not None:
            async with self._database.read() as unit:
                runs = await unit.retention.runs_ended_before(at - youngest, after=after, limit=BATCH)
            await self._prune_runs(runs, pruned, at)
            if len(runs) < BATCH:
                return
            after = runs[-1]

    async def _prune_by_count(self, pruned: Pruned, at: datetime) -> None:
        count, after = self._rules.max_runs, None
        while count is not None:
            async with self._database.read() as unit:
                playgrounds = await unit.retention.playgrounds_beyond(count, after=after, limit=BATCH)
            for playground_id in playgrounds:
                await self._prune_beyond(playground_id, count, pruned, at)
            if len(playgrounds) < BATCH:
                return
            after = playgrounds[-1]

    async def _prune_beyond(self, playground_id: UUID, count: int, pruned: Pruned, at: datetime) -> None:
        after = None
        while True:
            async with self._database.read() as unit:
                runs = await unit.retention.runs_beyond(playground_id, count, after=after, limit=BATCH)
            await self._prune_runs(runs, pruned, at)
            if len(runs) < BATCH:
                return
            after = runs[-1]

    async def _prune_runs(self, runs: Sequence[EndedRun], pruned: Pruned, at: datetime) -> None:
        """What the rules say of these runs: to delete them, or only their logs or outputs."""
        together: dict[UUID, list[EndedRun]] = defaultdict(list)
        for run in runs:
            together[run.playground_id].append(run)
        for playground_id, some in together.items():
            ids = [run.id for run in some]
            async with self._database.read() as unit:
                kept = await unit.retention.kept_runs(playground_id) | await unit.retention.compared(ids)
            doomed = [
                run for run in some if run.id not in kept and self._rules.deletes(at - run.ended_at, newer=run.newer)
            ]
            for run in doomed:
                pruned.log_lines += await self._delete_logs([run.id])
                pruned.runs += await self._delete_run(run, at)
                await self._rest()
            left = [run for run in some if run not in doomed]
            pruned.log_lines += await self._delete_logs(
                [run.id for run in left if self._rules.deletes_logs(at - run.ended_at)]
            )
            outdated = [run.id for run in left if self._rules.deletes_outputs(at - run.ended_at)]
            pruned.outputs += await self._delete_outputs(playground_id, outdated, at)
        self._turn()

    # ---- deleting

    async def _prune_pair(self, pair: EndedPair, newer: int, pruned: Pruned, at: datetime) -> None:
        age = at - pair.ended_at
        deletes = self._rules.deletes(age, newer=newer)
        if not deletes and not (pair.has_file and self._rules.deletes_outputs(age)):
            return

        async def work(unit: UnitOfWork) -> bool:
            if deletes and not await unit.retention.delete_pair(pair.id):
                return False  # somebody else was first
            if not deletes:
                await unit.retention.mark_differences(pair.id, at)
            if pair.has_file:
                await unit.discards.add([differences_location(pair.id)], at=at)
            return True

        done = await self._database.write(work)
        pruned.reconciliation_runs += done and deletes
        pruned.outputs += done and pair.has_file
        await self._rest()

    async def _delete_logs(self, run_ids: Collection[UUID]) -> int:
        if not run_ids:
            return 0
        count = 0
        async with self._database.read() as unit:
            task_run_ids = await unit.retention.with_logs(run_ids)
        for task_run_id in task_run_ids:
            deleted = ROWS
            while deleted == ROWS:
                deleted = await self._database.write(
                    lambda unit, id_=task_run_id: unit.retention.delete_log_lines(id_, limit=ROWS)  # type: ignore[misc]
                )
                count += deleted
                await self._rest()
        return count

    async def _delete_run(self, run: EndedRun, at: datetime) -> bool:
        deleted = ROWS
        while deleted == ROWS:
            deleted = await self._database.write(
                lambda unit: unit.retention.delete_events(run.playground_id, run.id, limit=ROWS)
            )
            self._turn()

        async def work(unit: UnitOfWork) -> bool:
            # A run that carries an output over, or a comparison, comes first or not at all.
            ledger = await unit.open_ledger(run.playground_id)
            if ledger is None or ledger.playground.active_run_id == run.id:
                return False
            files = await _files_of(unit, run)
            if not await unit.retention.delete_run(run.id):
                return False
            await unit.discards.add(files, at=at)
            return True

        return await self._database.write(work)

    async def _delete_outputs(self, playground_id: UUID, run_ids: Collection[UUID], at: datetime) -> int:
        """The files of outputs that nothing younger names; their rows say from now on that they were pruned."""
        if not run_ids:
            return 0
        async with self._database.read() as unit:
            found = await unit.retention.with_outputs(run_ids)
            kept = await unit.retention.kept_locations(playground_id) if found else set()
        count = 0
        for locations in found.values():
            wanted = set(locations) - kept
            if wanted:
                count += await self._delete_files(playground_id, wanted, at)
                await self._rest()
        return count

    async def _delete_files(self, playground_id: UUID, locations: set[str], at: datetime) -> int:
        async def work(unit: UnitOfWork) -> int:
            if await unit.open_ledger(playground_id) is None:
                return 0
            kept = await unit.retention.kept_locations(playground_id)  # a comparison may have begun
            referents = await unit.retention.referents(_writers(locations), locations)
            for referent in referents:
                if referent.ended_at is None or not self._rules.deletes_outputs(at - referent.ended_at):
                    kept.add(referent.location)
            doomed = locations - kept
            if doomed:
                await unit.retention.mark_outputs([row.task_run_id for row in referents if row.location in doomed], at)
                await unit.discards.add({location.rpartition("/")[0] for location in doomed}, at=at)
            return len(doomed)

        return await self._database.write(work)


async def _files_of(unit: UnitOfWork, run: EndedRun) -> set[str]:
    """What may be deleted of the store with this run: all but what other runs name.

    Where they name nothing, these are its whole folders, with what attempts have left there that were lost.
    """
    locations = await unit.retention.locations_of(run.id)
    attempts = await unit.retention.written_by(run.id)
    locations |= {location for _, location in attempts if location is not None}
    referents = await unit.retention.referents(_writers(locations), locations)
    needed = {referent.location for referent in referents if referent.run_id != run.id}
    own = {
        run_location(started_at=started_at, playground_id=run.playground_id, run_id=run.id)
        for started_at, _ in attempts
    }
    if any(run_of(location) in own for location in needed):
        own = set()
    return own | {location.rpartition("/")[0] for location in locations - needed if run_of(location) not in own}


def _writers(locations: Collection[str]) -> set[UUID]:
    return {writer_of(location) for location in locations}

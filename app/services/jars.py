"""The JARs of the output store: each is kept once, by its digest, and goes when nothing names it any more.

A JAR's row is written before its file, and removed before it: whoever is killed in between, no file stays that no row
names, and no row says that a file is there which is not.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import BinaryIO

import structlog
from sqlalchemy.exc import IntegrityError

from app.domain.errors import UnavailableError
from app.domain.identity import new_id, utc_now
from app.domain.jars import JarFacts
from app.models import Jar
from app.outputs.base import OutputStore
from app.outputs.locations import jar_location
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork

KEPT = timedelta(hours=1)  # without being named: an upload that goes on, or one that comes again
BATCH = 100
TRIES = 3
_PIECE = 2**20

log = structlog.get_logger()


class Jars:
    """`turn` is called as work goes on."""

    def __init__(
        self,
        *,
        database: Database,
        outputs: OutputStore,
        clock: Callable[[], datetime] = utc_now,
        turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._outputs = outputs
        self._clock = clock
        self._turn = turn

    async def store(self, file: BinaryIO, facts: JarFacts) -> None:
        """Have the JAR in the output store; it stays there for an hour, and then as long as anything names it."""
        row = await self._row(facts)
        if row.stored:
            return
        file.seek(0)
        async with self._outputs.open_writer(row.location) as writer:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                await writer.write(piece)
        await self._database.write(lambda unit: unit.udfs.change_jar(facts.sha256, stored=True))

    async def clear(self) -> int:
        """Let go of those that no function and no run names; tells how many. Any number may."""
        count = 0
        while True:
            async with self._database.read() as unit:
                rows = await unit.udfs.unused_jars(before=self._clock() - KEPT, limit=BATCH)
            gone = [row for row in rows if await self._let_go(row)]
            count += len(gone)
            if len(gone) < BATCH:
                return count

    async def _row(self, facts: JarFacts) -> Jar:
        """The JAR's row, touched, so that it stays; made where there is none."""
        at, location = self._clock(), jar_location(new_id(), facts.sha256)

        async def work(unit: UnitOfWork) -> Jar:
            row = await unit.udfs.jar(facts.sha256, locked=True)
            if row is not None:
                await unit.udfs.change_jar(facts.sha256, touched_at=at)
                return row
            values = {"sha256": facts.sha256, "size_bytes": facts.size_bytes, "location": location}
            await unit.udfs.add_jar(**values, stored=False, touched_at=at)
            return Jar(**values, stored=False, touched_at=at)

        for _ in range(TRIES):
            try:
                return await self._database.write(work)
            except IntegrityError:  # another upload of the same JAR has made it in between
                continue
        raise UnavailableError("The same JAR is being uploaded many times at once; try again.", path=("jar",))

    async def _let_go(self, row: Jar) -> bool:
        self._turn()

        async def work(unit: UnitOfWork) -> bool:
            if not await unit.udfs.delete_jar(row):
                return False
            await unit.discards.add([row.location.rpartition("/")[0]], at=utc_now())
            return True

        try:
            return await self._database.write(work)
        except IntegrityError:  # somebody has just come to name it
            log.info("jar.kept", sha256=row.sha256)
            return False

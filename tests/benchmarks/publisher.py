"""Writes events past the run engine at a steady rate, in a process of its own: rows as the ledger has them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from app.domain.events import Outbox, playground_topic
from app.domain.identity import new_id, utc_now
from app.messaging.bell import Bell
from app.messaging.delivery import Delivery
from app.messaging.queue import JobQueue
from app.models import Event, Playground, Run
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork

TICKS = 20  # a second; what is due in one is written by one transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A playground and its run that never ends: no worker is there to take it up."""

    playground_id: UUID
    run_id: UUID


class Publisher:
    def __init__(self, *, database_url: str, redis_url: str) -> None:
        self._bell, self._queue = Bell(url=redis_url), JobQueue(url=redis_url)
        self._delivery = Delivery(queue=self._queue, bell=self._bell)
        self.database = Database(url=database_url, deliver=self._deliver)
        self._number = 0
        self._committed: dict[str, float] = {}

    async def _deliver(self, outbox: Outbox) -> None:
        self._committed[str(self._number)] = perf_counter()
        await self._delivery(outbox)

    async def copies(self, pair: Pair, count: int) -> list[Pair]:
        """So many playgrounds with a run, each like the given one."""
        pairs = [Pair(playground_id=new_id(), run_id=new_id()) for _ in range(count)]
        async with self.database.engine.begin() as connection:

            async def copy(table: Any, condition: Any, *changes: dict[str, Any]) -> None:
                rows = (await connection.execute(select(table).where(condition))).mappings().all()
                await connection.execute(insert(table), [{**row, **change} for row in rows for change in changes])

            playgrounds = [
                {"id": p.playground_id, "name": p.playground_id.hex, "active_run_id": p.run_id} for p in pairs
            ]
            await copy(Playground.__table__, Playground.id == pair.playground_id, *playgrounds)
            runs = [{"id": p.run_id, "playground_id": p.playground_id} for p in pairs]
            await copy(Run.__table__, Run.id == pair.run_id, *runs)
            events = [{"run_id": p.run_id, "playground_id": p.playground_id} for p in pairs]
            await copy(Event.__table__, Event.run_id == pair.run_id, *events)
        return pairs

    async def publish(self, pairs: Sequence[Pair], *, rate: float, seconds: float) -> dict[str, float]:
        """`rate` events a second in all, turn by turn, those of one tick together; when each message was committed."""
        self._committed.clear()
        begin, sent = perf_counter(), 0
        total = round(rate * seconds)
        ticks = min(TICKS, rate) if len(pairs) > 1 else rate
        due = max(1, round(rate / ticks))
        while sent < total:
            batch = [pairs[index % len(pairs)] for index in range(sent, min(sent + due, total))]
            self._number += 1
            await self._write(batch)
            sent += len(batch)
            await asyncio.sleep(max(0.0, begin + sent / rate - perf_counter()))
        return dict(self._committed)

    async def _write(self, batch: Sequence[Pair]) -> None:
        ids = [pair.playground_id for pair in batch]

        async def work(unit: UnitOfWork) -> None:
            session = unit._session
            locked = select(Playground.id, Playground.event_sequence).where(Playground.id.in_(ids)).with_for_update()
            at: dict[UUID, int] = {row.id: row.event_sequence for row in await session.execute(locked)}
            await session.execute(
                update(Playground)
                .where(Playground.id.in_(ids))
                .values(event_sequence=Playground.event_sequence + 1)
                .execution_options(synchronize_session=False)
            )
            now, message = utc_now(), str(self._number)
            rows = [
                {
                    "playground_id": pair.playground_id,
                    "sequence": at[pair.playground_id] + 1,
                    "run_id": pair.run_id,
                    "status": "RUNNING",
                    "at": now,
                    "message": message,
                }
                for pair in batch
            ]
            await session.execute(insert(Event), rows)
            for pair in batch:
                unit.outbox.ring(playground_topic(pair.playground_id))

        await self.database.write(work)

    async def close(self) -> None:
        await self._bell.close()
        await self._queue.close()
        await self.database.close()


def publish(database_url: str, redis_url: str, parent: Connection) -> None:
    """A process's work: gives copies for (pair, count), and for (pairs, rate, seconds) when what was committed."""

    async def work() -> None:
        publisher = Publisher(database_url=database_url, redis_url=redis_url)
        try:
            while True:
                match await asyncio.to_thread(parent.recv):
                    case pair, count:
                        parent.send(await publisher.copies(pair, count))
                    case pairs, rate, seconds:
                        parent.send(await publisher.publish(pairs, rate=rate, seconds=seconds))
        except EOFError:
            await publisher.close()

    asyncio.run(work())

"""A unit of work: one transaction, the stores that share it, and the outbox that is sent after the commit."""

from collections.abc import Collection
from functools import cached_property
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.events import Outbox
from app.store.accounts import AccountStore
from app.store.backfills import BackfillStore
from app.store.discards import DiscardStore
from app.store.events import EventStore
from app.store.history import HistoryStore
from app.store.ledger import Ledger, flush_all
from app.store.ledgers import Ledgers
from app.store.logs import LogStore
from app.store.playgrounds import PlaygroundStore
from app.store.reconciliations import ReconciliationStore
from app.store.retention import RetentionStore
from app.store.runs import RunStore
from app.store.stuck import StuckStore
from app.store.tasks import TaskStore
from app.store.udfs import UdfStore
from app.store.waiting import WaitingStore
from app.store.workers import WorkerStore


class UnitOfWork:
    """Made by `Database.read` and `Database.write`; never kept beyond one service call."""

    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session
        self._ledgers: dict[UUID, Ledger] = {}
        self.outbox = Outbox()

    @cached_property
    def accounts(self) -> AccountStore:
        return AccountStore(session=self._session)

    @cached_property
    def playgrounds(self) -> PlaygroundStore:
        return PlaygroundStore(session=self._session)

    @cached_property
    def stuck(self) -> StuckStore:
        return StuckStore(session=self._session)

    @cached_property
    def tasks(self) -> TaskStore:
        return TaskStore(session=self._session)

    @cached_property
    def udfs(self) -> UdfStore:
        return UdfStore(session=self._session)

    @cached_property
    def runs(self) -> RunStore:
        return RunStore(session=self._session)

    @cached_property
    def events(self) -> EventStore:
        return EventStore(session=self._session)

    @cached_property
    def retention(self) -> RetentionStore:
        return RetentionStore(session=self._session)

    @cached_property
    def discards(self) -> DiscardStore:
        return DiscardStore(session=self._session)

    @cached_property
    def history(self) -> HistoryStore:
        return HistoryStore(session=self._session)

    @cached_property
    def logs(self) -> LogStore:
        return LogStore(session=self._session, outbox=self.outbox)

    @cached_property
    def waiting(self) -> WaitingStore:
        return WaitingStore(session=self._session)

    @cached_property
    def workers(self) -> WorkerStore:
        return WorkerStore(session=self._session)

    @cached_property
    def backfills(self) -> BackfillStore:
        return BackfillStore(session=self._session)

    @cached_property
    def reconciliations(self) -> ReconciliationStore:
        return ReconciliationStore(session=self._session, outbox=self.outbox)

    async def open_ledger(self, playground_id: UUID) -> Ledger | None:
        """Take the playground's lock and open its ledger; None where the playground is gone.

        Every change of a run's status goes through its ledger, so that changes of one playground come one after the
        other, on every process.
        """
        ledger = self._ledgers.get(playground_id)
        if ledger is None:
            ledger = await Ledger.open(session=self._session, outbox=self.outbox, playground_id=playground_id)
        if ledger is not None:
            self._ledgers[playground_id] = ledger
        return ledger

    async def open_ledgers(self, playground_ids: Collection[UUID], *, wait: bool = True) -> Ledgers:
        """Take the locks of many playgrounds at once; in a transaction that holds none of them yet.

        `wait`: else those that somebody else holds are left out.
        """
        found: list[Ledger] = []
        if playground_ids:
            found = await Ledger.open_many(
                session=self._session, outbox=self.outbox, playground_ids=playground_ids, wait=wait
            )
        self._ledgers |= {ledger.playground.id: ledger for ledger in found}
        return Ledgers(session=self._session, ledgers=found)

    def these(self, *ledgers: Ledger) -> Ledgers:
        """Ledgers that are open, together."""
        return Ledgers(session=self._session, ledgers=ledgers)

    async def commit(self) -> None:
        await flush_all(self._session, self._ledgers.values())
        await self._session.commit()

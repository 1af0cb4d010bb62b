"""The metadata database: engines, transactions, and what is retried."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import structlog
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from app.domain.errors import UnavailableError
from app.domain.events import Outbox
from app.store.sqlite_connection import connect
from app.store.unit_of_work import UnitOfWork

Result = TypeVar("Result")
Deliver = Callable[[Outbox], Awaitable[None]]

WRITE_TRIES = 8
RESTED_SECONDS = 0.5
LOST_CONNECTION = 2013
# A process that is frozen in the middle of a transaction would keep its locks, and whoever takes over its work waiting:
# MariaDB ends such a transaction. (MySQL knows no such limit, and reads a comment here.)
LET_GO_OF_LOCKS = "SET SESSION /*M!100300 idle_transaction_timeout = 5, */ innodb_lock_wait_timeout = 20"
# MariaDB: deadlock, lock wait, server gone, lost connection, shutdown in progress, killed connection, record changed.
RETRIED_CODES = frozenset({1213, 1205, 2006, LOST_CONNECTION, 2003, 2002, 1053, 1927, 1020, 0})

log = structlog.get_logger()


class DatabaseAwayError(UnavailableError):
    """The database does not answer, or not in time; later it may."""

    def __init__(self) -> None:
        super().__init__("The platform's database does not answer; try again in a moment.")


class Database:
    """Reads are single statements; a write is a function that is run again when the database asks for that.

    `pool_size` is shared out evenly between the two.
    """

    def __init__(
        self,
        *,
        url: str | URL,
        connect_args: Mapping[str, Any] | None = None,
        deliver: Deliver,
        pool_size: int = 20,
        max_wait: timedelta = timedelta(seconds=30),
        max_age: timedelta = timedelta(minutes=30),
        check_on_borrow: bool = True,
    ) -> None:
        self.url = make_url(url)
        self._deliver = deliver
        if self.url.get_backend_name() == "sqlite":
            self._readers = _sqlite_engine(self.url, pool_size=4, reads=True)
            self._writers = _sqlite_engine(self.url, pool_size=1, reads=False)
        else:
            pool: dict[str, Any] = {
                "pool_size": max(pool_size // 2, 1),
                "max_overflow": 0,
                "pool_timeout": max_wait.total_seconds(),
                "pool_recycle": int(max_age.total_seconds()),
            }
            arguments = connect_args or {}
            self._readers = create_async_engine(
                self.url,
                isolation_level="AUTOCOMMIT",
                skip_autocommit_rollback=True,
                connect_args={**arguments},
                **pool,
            )
            self._writers = create_async_engine(
                self.url,
                isolation_level="READ COMMITTED",
                connect_args={"init_command": LET_GO_OF_LOCKS, **arguments},  # the driver commits behind it
                **pool,
            )
            for engine in (self._readers, self._writers):
                _connect_or_say_so(engine)
                if check_on_borrow:
                    _check_on_borrow(engine)
        self._read_session = async_sessionmaker(self._readers, expire_on_commit=False, autoflush=False)
        self._write_session = async_sessionmaker(self._writers, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[UnitOfWork]:
        """Statements that change nothing; each sees what is committed when it runs.

        Raises: DatabaseAwayError.
        """
        try:
            async with self._read_session() as session:
                yield UnitOfWork(session=session)
        except PoolTimeoutError as error:
            raise DatabaseAwayError from error
        except DBAPIError as error:
            if is_retriable(error):
                raise DatabaseAwayError from error
            raise

    async def write(self, work: Callable[[UnitOfWork], Awaitable[Result]]) -> Result:
        """Run `work` in one transaction, then send what it left in the outbox.

        `work` runs again after a deadlock or a lost connection, also when the connection was lost in the commit and
        its outcome is unknown: it must recognise what it has already done (by ids made outside, or compare-and-set).

        Raises: DatabaseAwayError.
        """
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                async with self._write_session() as session:
                    unit = UnitOfWork(session=session)
                    result = await work(unit)
                    await unit.commit()
            except PoolTimeoutError as error:
                raise DatabaseAwayError from error
            except DBAPIError as error:
                if not is_retriable(error):
                    raise
                if attempt == WRITE_TRIES:
                    raise DatabaseAwayError from error
                log.info("write.retried", attempt=attempt, reason=str(error.orig))
                await asyncio.sleep(min(1.0, 0.01 * 2**attempt) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            else:
                if unit.outbox.jobs or unit.outbox.rings:
                    await self._deliver(unit.outbox)
                return result
        raise AssertionError

    @property
    def engine(self) -> AsyncEngine:
        """The engine that may write, for migrations."""
        return self._writers

    async def ping(self) -> None:
        async with self._readers.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")

    async def close(self) -> None:
        await self._readers.dispose()
        if self._writers is not self._readers:
            await self._writers.dispose()


def is_retriable(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    arguments = getattr(error.orig, "args", ())
    code = arguments[0] if arguments else None
    return code in RETRIED_CODES or "database is locked" in str(error.orig)


def _sqlite_engine(url: URL, *, pool_size: int, reads: bool) -> AsyncEngine:
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True} if reads else {}
    engine = create_async_engine(
        url,
        async_creator=partial(connect, url.database or ":memory:"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        **options,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if not reads:

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _connect_or_say_so(engine: AsyncEngine) -> None:
    """A server that hangs up while it is being connected to is one that is away; the driver calls it a RuntimeError."""

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Any, _record: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except RuntimeError as error:
            raise dialect.loaded_dbapi.OperationalError(LOST_CONNECTION, str(error)) from error


def _check_on_borrow(engine: AsyncEngine) -> None:
    """Ping a connection that has rested for a while before it is used; one that was just used needs no ping."""

    @event.listens_for(engine.sync_engine, "checkout")
    def check(connection: Any, record: Any, _proxy: Any) -> None:
        if monotonic() - record.info.get("returned_at", monotonic()) < RESTED_SECONDS:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error
        if not alive:
            raise DisconnectionError

    @event.listens_for(engine.sync_engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["returned_at"] = monotonic()

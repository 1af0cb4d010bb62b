"""A pool of connections to one MySQL or MariaDB server, each handed out as if new; and how a query is killed."""

import asyncio
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncmy
from asyncmy.constants.FIELD_TYPE import BIT
from asyncmy.converters import conversions
from asyncmy.errors import MySQLError

from app.engines.base import TransientEngineError
from app.engines.mysql.errors import engine_error

_COM_SET_OPTION = 27
_MULTI_STATEMENTS_OFF = struct.pack("<H", 1)
_COM_RESET_CONNECTION = 31
_NO_SUCH_THREAD = 1094
_CONNECT_SECONDS = 10
_CHECK_SECONDS = 3


def _bits(value: bytes) -> int:
    return int.from_bytes(value)


# Values stay the texts that the server sends: the very digits, dates that no Python type can hold, and half the time.
# What remains of asyncmy's own conversions, those whose keys are types, are for the parameters of statements.
_CONVERSIONS: Mapping[Any, Callable[..., Any]] = {
    **{key: convert for key, convert in conversions.items() if isinstance(key, type)},
    BIT: _bits,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MysqlAddress:
    """The server, the account and the database that a connection starts in."""

    host: str
    port: int
    user: str
    password: str
    database: str | None = None
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"MysqlAddress({self.user}@{self.host}:{self.port}/{self.database or ''})"  # no password in any log


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """The statement that tells whether a connection is good, and when it is asked.

    A connection that does not answer within `timeout`, as one through a firewall that has forgotten it, is no good.
    """

    query: str = "SELECT 1"
    timeout: timedelta = timedelta(seconds=3)
    on_borrow: bool = True
    on_return: bool = True


class MysqlConnections:
    """At most `max_size` connections; idle ones are kept, above `min_size` only for `max_idle`."""

    def __init__(
        self,
        *,
        address: MysqlAddress,
        min_size: int,
        max_size: int,
        max_wait: timedelta,
        max_idle: timedelta,
        max_age: timedelta,
        validation: Validation,
    ) -> None:
        self._address = address
        self._min_size = min_size
        self._max_wait = max_wait
        self._max_size = max_size
        self._max_idle = max_idle.total_seconds()
        self._max_age = max_age.total_seconds()
        self._validation = validation
        self._places = asyncio.Semaphore(max_size)
        self._idle: deque[_Idle] = deque()  # the latest used at the right end
        self._born: dict[int, float] = {}

    async def acquire(self) -> Any:
        """An asyncmy connection without traces of earlier use, which takes one statement at a time.

        Raises: TransientEngineError, TerminalEngineError.
        """
        try:
            async with asyncio.timeout(self._max_wait.total_seconds()):
                await self._places.acquire()
        except TimeoutError as error:
            raise TransientEngineError(
                f"All {self._max_size} connections to {self._address.host}:{self._address.port} were in use for"
                f" {self._max_wait.total_seconds():g} s; allow more connections, or run fewer tasks at once.",
                code="POOL_EXHAUSTED",
            ) from error
        try:
            return await self._used() or await self._new()
        except BaseException:
            self._places.release()
            raise

    async def release(self, connection: Any, *, reusable: bool) -> None:
        """Take the connection back, without its transaction, locks and temporary tables, or close it."""
        loop = asyncio.get_running_loop()
        born = self._born.pop(id(connection), loop.time())
        kept = False
        try:
            if reusable and connection.connected and loop.time() - born < self._max_age:
                async with asyncio.timeout(self._validation.timeout.total_seconds()):
                    await _reset(connection, self._address.database)
                    if self._validation.on_return:
                        await _ask(connection, self._validation.query)
                self._idle.append(_Idle(connection=connection, born=born, since=loop.time()))
                kept = True
        except (MySQLError, OSError):  # of which TimeoutError is one
            pass  # a server or proxy that cannot reset: a new connection next time
        finally:
            if not kept:
                connection.close()
            self._places.release()
        while len(self._idle) > self._min_size and loop.time() - self._idle[0].since > self._max_idle:
            self._idle.popleft().connection.close()

    async def kill_query(self, thread_id: int) -> None:
        """Stop what the connection of that thread is running; a thread that is gone is no error.

        Raises: TransientEngineError, TerminalEngineError.
        """
        # A connection of its own: the pool may be exhausted by the very queries that are to be stopped.
        connection = await self._connect(seconds=_CHECK_SECONDS)
        try:
            await connection.query(f"KILL QUERY {int(thread_id)}")
        except MySQLError as error:
            if error.args[:1] != (_NO_SUCH_THREAD,):
                raise engine_error(error) from error
        finally:
            connection.close()

    async def check(self) -> None:
        """Connect once, apart from the pool.

        Raises: TransientEngineError, TerminalEngineError.
        """
        connection = await self._connect(seconds=_CHECK_SECONDS)
        await connection.ensure_closed()

    async def close(self) -> None:
        while self._idle:
            with suppress(MySQLError, OSError):
                await self._idle.pop().connection.ensure_closed()

    async def _used(self) -> Any | None:
        """The idle connection used last, if one is still good."""
        loop = asyncio.get_running_loop()
        while self._idle:
            idle = self._idle.pop()
            good = False
            try:
                if loop.time() - idle.born < self._max_age:
                    if self._validation.on_borrow:
                        async with asyncio.timeout(self._validation.timeout.total_seconds()):
                            await _ask(idle.connection, self._validation.query)
                    good = True
                    self._born[id(idle.connection)] = idle.born
                    return idle.connection
            except (MySQLError, OSError):
                pass  # closed by the server meanwhile, or silent: the next one, or a new one
            finally:
                if not good:
                    idle.connection.close()
        return None

    async def _new(self) -> Any:
        connection = await self._connect(seconds=_CONNECT_SECONDS)
        try:
            await _one_statement_at_a_time(connection)
        except (MySQLError, OSError) as error:
            connection.close()
            raise engine_error(error) from error
        except BaseException:
            connection.close()
            raise
        self._born[id(connection)] = asyncio.get_running_loop().time()
        return connection

    async def _connect(self, *, seconds: float) -> Any:
        address = self._address
        try:
            async with asyncio.timeout(seconds):
                return await asyncmy.connect(
                    host=address.host,
                    port=address.port,
                    user=address.user,
                    password=address.password.encode(),  # the driver would make latin-1 of it
                    database=address.database,
                    ssl=address.tls,
                    charset="utf8mb4",
                    autocommit=True,
                    conv=_CONVERSIONS,
                    connect_timeout=_CONNECT_SECONDS,
                )
        except TimeoutError as error:
            raise TransientEngineError(
                f"{address.host}:{address.port} did not answer within {seconds:g} s.", code="CONNECTION"
            ) from error
        except RuntimeError as error:  # the driver's word for a server that hangs up at that very moment
            raise TransientEngineError(f"The connection to the server was lost: {error}", code="CONNECTION") from error
        except (MySQLError, OSError) as error:
            raise engine_error(error) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Idle:
    connection: Any
    born: float
    since: float


async def _ask(connection: Any, query: str) -> None:
    cursor = connection.cursor()
    await cursor.execute(query)
    await cursor.fetchall()


async def _reset(connection: Any, database: str | None) -> None:
    """Forget the last user's transaction, locks, variables, temporary tables and database."""
    # Both commands are of the protocol; the driver has no names for them.
    await connection._execute_command(_COM_RESET_CONNECTION, b"")  # noqa: SLF001
    await connection._read_ok_packet()  # noqa: SLF001
    if database is not None:
        await connection.select_db(database)
    await connection.query(
        "SET autocommit = 1, character_set_client = utf8mb4, character_set_connection = utf8mb4,"
        " character_set_results = utf8mb4"
    )
    await _one_statement_at_a_time(connection)


async def _one_statement_at_a_time(connection: Any) -> None:
    """Let the server itself refuse a second statement in a text: the driver always asks for the contrary."""
    await connection._execute_command(_COM_SET_OPTION, _MULTI_STATEMENTS_OFF)  # noqa: SLF001
    await connection.read_packet()

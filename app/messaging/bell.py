"""The doorbell: Redis publish/subscribe, one connection a process, and a guess that it rang while Redis was away.

A ring says that a topic has news in the database, and carries nothing else. Whoever listens reads the database after
each ring; after a gap in the connection every topic rings once, so that nothing said in the gap is missed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.domain.events import every_topic

PREFIX = "phantom:bell:"
RECONNECT_DELAY = 0.5
PATIENCE = 1.0  # seconds to wait for Redis to confirm a subscription; beyond it the next reconnection rings anyway

# A RuntimeError is uvloop's word for a connection that was closed under a command.
REDIS_AWAY = (RedisError, OSError, TimeoutError, RuntimeError)

log = structlog.get_logger()
Listener = Callable[[], None]


class Bell:
    """Rings topics, and calls the listeners of a topic (in the event loop's thread) when it is rung anywhere."""

    def __init__(self, *, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 1))
        self._pubsub: PubSub | None = None
        self._listeners: dict[str, set[Listener]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._reader: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    async def start(self) -> None:
        self._reader = asyncio.create_task(self._read_for_ever(), name="bell")

    async def ring(self, topics: Iterable[str]) -> None:
        """Raises: redis.RedisError where Redis cannot be reached."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.publish(PREFIX + topic, b"")
            await pipe.execute()

    async def ping(self) -> None:
        """Raises: redis.RedisError where Redis cannot be reached."""
        await self._redis.ping()

    @asynccontextmanager
    async def listening(self, topic: str, listener: Listener) -> AsyncIterator[None]:
        """Call `listener` at every ring of the topic; a ring sent after the block was entered is heard."""
        try:
            await self.listen(topic, listener)
            yield
        finally:
            await self.unlisten(topic, listener)

    async def listen(self, topic: str, listener: Listener) -> None:
        """Call `listener` at every ring of the topic, from now to `unlisten`."""
        listeners = self._listeners.setdefault(topic, set())
        listeners.add(listener)
        confirmed = self._confirmed.get(topic)
        if confirmed is None:
            confirmed = self._confirmed[topic] = asyncio.Event()
            if self._pubsub is not None and self._connected.is_set():
                with suppress(*REDIS_AWAY):
                    await self._pubsub.subscribe(PREFIX + topic)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await confirmed.wait()

    async def unlisten(self, topic: str, listener: Listener) -> None:
        listeners = self._listeners.get(topic)
        if listeners is None:
            return
        listeners.discard(listener)
        if listeners:
            return
        del self._listeners[topic]
        self._confirmed.pop(topic, None)
        if self._pubsub is not None and self._connected.is_set():
            with suppress(*REDIS_AWAY):
                await self._pubsub.unsubscribe(PREFIX + topic)

    async def _read_for_ever(self) -> None:
        while True:
            try:
                await self._read()
            except REDIS_AWAY as error:
                log.warning("bell.disconnected", reason=str(error))
            self._connected.clear()
            for confirmed in self._confirmed.values():
                confirmed.clear()
            await asyncio.sleep(RECONNECT_DELAY)
            self._ring_all()  # without Redis, news is found at this pace

    async def _read(self) -> None:
        pubsub = self._pubsub = self._redis.pubsub()
        try:
            known = set(self._listeners)
            await pubsub.subscribe(PREFIX + every_topic(), *(PREFIX + topic for topic in known))
            self._connected.set()
            if late := set(self._listeners) - known:
                await pubsub.subscribe(*(PREFIX + topic for topic in late))
            while True:
                message = await pubsub.get_message(timeout=None)
                if message is not None:
                    self._hear(message["type"], message["channel"].decode().removeprefix(PREFIX))
        finally:
            self._pubsub = None
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py 5 leaves it so

    def _hear(self, kind: str, topic: str) -> None:
        if kind == "subscribe":
            if confirmed := self._confirmed.get(topic):
                confirmed.set()
            if topic == every_topic():
                self._ring_all()  # a new connection: whatever was said in the gap is read now
            return
        if kind == "message" and topic == every_topic():
            self._ring_all()
        elif kind == "message":
            for listener in tuple(self._listeners.get(topic, ())):
                listener()

    def _ring_all(self) -> None:
        for listeners in tuple(self._listeners.values()):
            for listener in tuple(listeners):
                listener()

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        await self._redis.aclose()

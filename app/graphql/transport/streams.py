"""A subscription's events as encoded payloads, each rendered once for all who may see the same."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Hashable, Mapping
from typing import Any, Protocol, Self

import orjson


class Shareable(Protocol):
    """An event that many subscriptions get as one object: it keeps what was rendered of it.

    A source whose events have this attribute (an empty dict at first) promises that what its resolvers read
    depends on the event, the document, its variables and the viewer, on nothing else.
    """

    encoded: "dict[Hashable, bytes | asyncio.Task[bytes]]"


class StreamFailedError(Exception):
    """The source broke off; `error` is what to tell the client."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.error = error


def sharing_key(
    *, text: str, operation_name: str | None, variables: Mapping[str, Any], viewer_key: Hashable | None
) -> Hashable | None:
    """Gives what two subscriptions must have in common to be sent the same bytes; None shares with nobody."""
    if viewer_key is None:
        return None
    try:
        canonical = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None
    return _Key((text, operation_name, canonical, viewer_key))


class _Key:
    """A tuple that hashes once: the document's text may be long, and the key is looked up for every event."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, parts: tuple[Hashable, ...]) -> None:
        self._parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._hash == other._hash and self._parts == other._parts


class EventStream:
    """An async iterator of payload bytes; raises StreamFailedError when the source raises."""

    def __init__(
        self,
        *,
        source: AsyncIterable[Any],
        render: Callable[[Any], bytes | Awaitable[bytes]],
        key: Hashable | None,
        failure: Callable[[Exception], dict[str, Any]],
        tasks: set[asyncio.Task[bytes]],
    ) -> None:
        self._source = aiter(source)
        self._render = render
        self._key = key
        self._failure = failure
        self._tasks = tasks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            event = await anext(self._source)
        except StopAsyncIteration:
            raise
        except Exception as error:  # the edge where a source's failure becomes an answer
            raise StreamFailedError(self._failure(error)) from error
        shared = getattr(event, "encoded", None) if self._key is not None else None
        if shared is None:
            rendered = self._render(event)
            return rendered if isinstance(rendered, bytes) else await rendered
        encoded = shared.get(self._key)
        if encoded is None:
            encoded = self._start(event)
            shared[self._key] = encoded
        if isinstance(encoded, bytes):
            return encoded
        # Whoever came first may leave while the others still wait: nobody's leaving may cancel the rendering.
        return encoded.result() if encoded.done() else await asyncio.shield(encoded)

    async def aclose(self) -> None:
        """Closes the source; safe to call again."""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    def _start(self, event: Any) -> bytes | asyncio.Task[bytes]:
        rendered = self._render(event)
        if isinstance(rendered, bytes):
            return rendered
        task = asyncio.ensure_future(_result_of(rendered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _result_of(rendered: Awaitable[bytes]) -> bytes:
    return await rendered

"""A subscription's events as encoded payloads, each rendered once for all who may see the same."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable, Mapping
from typing import Any, Protocol, Self

import orjson


class Shareable(Protocol):
    """An event that many subscriptions get as one object: it keeps what was rendered of it.

    A source whose events have this attribute (an empty dict at first) promises that what its resolvers read
    depends on the event, the document, its variables and the viewer, on nothing else.
    """

    encoded: dict[Hashable, Any]


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


class Payload:
    """An event as one selection shows it, and the ready frames of it: most clients give their operations equal ids."""

    __slots__ = ("frames", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.frames: dict[str, bytes] = {}  # by the operation's id and the kind of channel


Form = Payload | StreamFailedError


class Outlet(Protocol):
    """Where a stream's payloads go."""

    def tell(self, form: Form) -> bool:
        """Sends it, or says that there is no room now."""

    async def ready(self) -> None:
        """Waits for room; raises StreamFailedError after a form that was one."""


class Listener(Outlet, Protocol):
    """What a source that pushes is given; see app.services.following."""

    @property
    def key(self) -> Hashable: ...

    def form(self, batch: Any) -> "Form | asyncio.Task[Form]": ...


class Pushing(Protocol):
    """A source that can be pulled, and can push as well, which takes no step of a task for each subscriber."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def serve(self, listener: Any) -> None: ...

    async def aclose(self) -> None: ...


class Live:
    """What a subscription's resolver returns for a source that can push; `event_of` makes events of what comes."""

    def __init__(self, *, source: Pushing, event_of: Callable[[Any], Any]) -> None:
        self.serve = source.serve
        self.event_of = event_of
        self._source = source

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self.event_of(await anext(aiter(self._source)))

    async def aclose(self) -> None:
        await self._source.aclose()


class EventStream:
    """An async iterator of payload bytes; raises StreamFailedError when the source raises."""

    __slots__ = ("_failure", "_key", "_render", "_source", "_tasks")

    def __init__(
        self,
        *,
        source: AsyncIterable[Any],
        render: Callable[[Any], bytes | Awaitable[bytes]],
        key: Hashable | None,
        failure: Callable[[Exception], dict[str, Any]],
        tasks: set[asyncio.Task[Form]],
    ) -> None:
        self._source: Any = source if isinstance(source, Live) else aiter(source)
        self._render = render
        self._key = key
        self._failure = failure
        self._tasks = tasks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return (await self._next()).text

    async def run(self, outlet: Outlet) -> None:
        """Sends everything to an outlet until the source ends; raises StreamFailedError."""
        source = self._source
        if isinstance(source, Live):
            try:
                await source.serve(_Listening(stream=self, outlet=outlet))
            except StreamFailedError:
                raise
            except Exception as error:  # the edge where a source's failure becomes an answer
                raise StreamFailedError(self._failure(error)) from error
            return
        while True:
            try:
                payload = await self._next()
            except StopAsyncIteration:
                return
            await outlet.ready()
            while not outlet.tell(payload):
                await outlet.ready()

    async def aclose(self) -> None:
        """Closes the source; safe to call again."""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    @property
    def key(self) -> Hashable:
        """What streams have in common that share their payloads."""
        return self if self._key is None else self._key

    def form(self, batch: Any) -> "Form | asyncio.Task[Form]":
        """Gives what a pushing source's batch is to this stream, made once for all with the same key."""
        form: Form | asyncio.Task[Form] | None = batch.encoded.get(self.key)
        if form is None:
            try:
                form = self._form(self._source.event_of(batch))
            except Exception as error:  # noqa: BLE001 - the same edge
                form = StreamFailedError(self._failure(error))
            batch.encoded[self.key] = form
        elif isinstance(form, asyncio.Task) and form.done():
            form = batch.encoded[self.key] = form.result()
        return form

    async def _next(self) -> Payload:
        try:
            event = await anext(self._source)
        except StopAsyncIteration:
            raise
        except Exception as error:  # the same edge
            raise StreamFailedError(self._failure(error)) from error
        shared = getattr(event, "encoded", {})
        form: Form | asyncio.Task[Form] | None = shared.get(self.key)
        if form is None:
            form = shared[self.key] = self._form(event)
        # Whoever came first may leave while the others still wait: nobody's leaving may cancel the rendering.
        if isinstance(form, asyncio.Task):
            form = await asyncio.shield(form)
        if isinstance(form, StreamFailedError):
            raise form
        return form

    def _form(self, event: Any) -> "Form | asyncio.Task[Form]":
        rendered = self._render(event)
        if isinstance(rendered, bytes):
            return Payload(rendered)
        task = asyncio.create_task(self._later(rendered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _later(self, rendered: Awaitable[bytes]) -> Form:
        try:
            return Payload(await rendered)
        except Exception as error:  # noqa: BLE001 - the same edge
            return StreamFailedError(self._failure(error))


class _Listening:
    """A stream's payloads on their way to its outlet."""

    __slots__ = ("form", "key", "ready", "tell")

    def __init__(self, *, stream: EventStream, outlet: Outlet) -> None:
        self.key = stream.key
        self.form = stream.form
        self.tell = outlet.tell
        self.ready = outlet.ready

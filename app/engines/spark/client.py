"""A client of Spark Connect for the event loop: operations that outlive a lost connection, without a thread each.

The Python client of Spark's own blocks, and releases what it has read at once; here an operation can be read again
from its start, so that another process can take it over.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import grpc
from pyspark.sql.connect.proto import base_pb2 as messages
from pyspark.sql.connect.proto.base_pb2_grpc import SparkConnectServiceStub

from app.engines.base import EngineError, TransientEngineError
from app.engines.spark.address import SparkAddress
from app.engines.spark.errors import HandleError, engine_error, is_broken_connection

_CLIENT = "data-phantom"
_CHUNK_BYTES = 1024 * 1024
_PAUSES = (0.1, 0.3, 1.0, 2.0, 4.0)  # before the calls that follow a lost connection
_UNTIL_STARTED = (0.1, 0.4, 1.0, None)  # pauses before an operation that is not there is given up
# A server ends a stream that says nothing after two minutes, and is asked again. Longer silence is a dead connection.
_SILENCE_SECONDS = 150
_CALL_SECONDS = 20.0


class SparkClient:
    """One channel to a server, made at the first call; `session` is any UUID, and made by the first that names it."""

    def __init__(self, address: SparkAddress) -> None:
        self.address = address
        self._channel: grpc.aio.Channel | None = None

    async def configure(self, session: str, conf: Mapping[str, str]) -> None:
        """Set keys of the session. Raises: EngineError."""
        pairs = [messages.KeyValue(key=key, value=value) for key, value in conf.items()]
        await self._call(
            self._stub.Config,
            messages.ConfigRequest(
                session_id=session,
                client_type=_CLIENT,
                user_context=self._user,
                operation=messages.ConfigRequest.Operation(set=messages.ConfigRequest.Set(pairs=pairs)),
            ),
        )

    async def execute(self, session: str, operation: str, plan: messages.Plan) -> AsyncIterator[Any]:
        """Run a plan; the server's responses up to the last one, each once.

        Raises: EngineError.
        """
        request = messages.ExecutePlanRequest(
            session_id=session,
            operation_id=operation,
            client_type=_CLIENT,
            user_context=self._user,
            plan=plan,
            request_options=[_REATTACHABLE, _CHUNKED],
        )
        stream = self._stub.ExecutePlan(request, metadata=self.address.metadata)
        try:
            async for response in self._follow(session, operation, stream):
                yield response
        except HandleError as error:
            if error.is_taken:
                raise
            # It never got there, or the server has forgotten it because it was started anew.
            raise TransientEngineError(f"The Spark server has lost the query: {error}", code="CONNECTION") from error

    async def attach(self, session: str, operation: str) -> AsyncIterator[Any]:
        """The responses of an operation that another process has started, from the first one on.

        Raises: HandleError where the server has not got them (any more); EngineError.
        """
        begun = False
        for pause in _UNTIL_STARTED:
            try:
                async for response in self._follow(session, operation, self._reattach(session, operation, last=None)):
                    begun = True
                    yield response
            except HandleError as error:
                if begun or error.is_taken or pause is None:
                    raise
            else:
                return
            await asyncio.sleep(pause)  # who gave the handle may be about to start it

    async def interrupt(self, session: str) -> None:
        """Stop whatever the session runs. Raises: EngineError."""
        await self._call(
            self._stub.Interrupt,
            messages.InterruptRequest(
                session_id=session,
                client_type=_CLIENT,
                user_context=self._user,
                interrupt_type=messages.InterruptRequest.INTERRUPT_TYPE_ALL,
            ),
        )

    async def release(self, session: str) -> None:
        """End the session, with its temporary views and functions, and whatever still runs. Raises: EngineError."""
        await self._call(
            self._stub.ReleaseSession,
            messages.ReleaseSessionRequest(session_id=session, client_type=_CLIENT, user_context=self._user),
        )

    async def add_artifacts(self, requests: list[messages.AddArtifactsRequest]) -> None:
        """Raises: EngineError."""
        await self._call(self._stub.AddArtifacts, iter(requests))

    async def version(self, *, seconds: float) -> str:
        """The server's version, by a session that is ended at once. Raises: EngineError."""
        session = str(uuid4())
        answer = await self._call(
            self._stub.AnalyzePlan,
            messages.AnalyzePlanRequest(
                session_id=session,
                client_type=_CLIENT,
                user_context=self._user,
                spark_version=messages.AnalyzePlanRequest.SparkVersion(),
            ),
            seconds=seconds,
        )
        with suppress(EngineError):
            await self.release(session)
        return str(answer.spark_version.version)

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _follow(self, session: str, operation: str, stream: Any) -> AsyncIterator[Any]:
        last: str | None = None
        pauses = iter(_PAUSES)
        try:
            while True:
                try:
                    response = await _next(stream)
                except (grpc.aio.AioRpcError, TimeoutError) as error:
                    await _pause(error, pauses)
                    stream = self._reattach(session, operation, last)
                    continue
                if response is None:
                    stream = self._reattach(session, operation, last)
                    continue
                pauses = iter(_PAUSES)
                last = response.response_id
                yield response
                if response.HasField("result_complete"):
                    return
        finally:
            stream.cancel()

    def _reattach(self, session: str, operation: str, last: str | None) -> Any:
        request = messages.ReattachExecuteRequest(
            session_id=session,
            operation_id=operation,
            client_type=_CLIENT,
            user_context=self._user,
            last_response_id=last,
        )
        return self._stub.ReattachExecute(request, metadata=self.address.metadata)

    async def _call(self, method: Any, request: Any, *, seconds: float = _CALL_SECONDS) -> Any:
        try:
            return await method(request, metadata=self.address.metadata, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise engine_error(error) from error

    @property
    def _user(self) -> messages.UserContext:
        return messages.UserContext(user_id=self.address.user, user_name=self.address.user)

    @property
    def _stub(self) -> Any:
        if self._channel is None:
            options = [("grpc.max_receive_message_length", -1), ("grpc.max_reconnect_backoff_ms", 2_000)]
            self._channel = (
                grpc.aio.secure_channel(self.address.target, grpc.ssl_channel_credentials(), options=options)
                if self.address.tls
                else grpc.aio.insecure_channel(self.address.target, options=options)
            )
        return SparkConnectServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated code


_REATTACHABLE = messages.ExecutePlanRequest.RequestOption(reattach_options=messages.ReattachOptions(reattachable=True))
_CHUNKED = messages.ExecutePlanRequest.RequestOption(
    result_chunking_options=messages.ResultChunkingOptions(
        allow_arrow_batch_chunking=True, preferred_arrow_chunk_size=_CHUNK_BYTES
    )
)


async def _next(stream: Any) -> Any:
    """The next response; None at the stream's end, which is not the operation's."""
    async with asyncio.timeout(_SILENCE_SECONDS):
        response = await stream.read()
    return None if response is grpc.aio.EOF else response


async def _pause(error: grpc.aio.AioRpcError | TimeoutError, pauses: Any) -> None:
    """Wait before another call where that may help. Raises: EngineError."""
    told = (
        TransientEngineError("The Spark server has fallen silent.", code="CONNECTION")
        if isinstance(error, TimeoutError)
        else engine_error(error)
    )
    seconds = next(pauses, None)
    if seconds is None or not is_broken_connection(told):
        raise told from error
    await asyncio.sleep(seconds)

"""Runs prepared operations on graphql-core: queries and mutations to an answer, subscriptions to a stream."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import strawberry
from graphql import ExecutionResult, GraphQLDeferDirective, GraphQLError, GraphQLStreamDirective, OperationType
from graphql.execution import Executor, create_source_event_stream
from strawberry.execution import optimized_is_awaitable

from app.domain.errors import UnavailableError
from app.graphql.transport.documents import DocumentCache, DocumentDesk, PreparedOperation, Refusal
from app.graphql.transport.limits import Limits
from app.graphql.transport.masking import ErrorMask, TransportCode, plain_error
from app.graphql.transport.plain_fields import PlainFieldExecutor
from app.graphql.transport.streams import EventStream, Form, sharing_key

Answer = dict[str, Any]
ContextFactory = Callable[[], Any]


class GraphQLExecutor:
    """Prepares and runs the operations of one schema; one for the whole process.

    strawberry's own way of executing is passed by: it walks limits exponentially, caches parsing without its
    errors, and lets every subscription keep the subfields of every event.
    """

    def __init__(
        self,
        *,
        schema: strawberry.Schema,
        limits: Limits | None = None,
        mask: ErrorMask | None = None,
        timeout: timedelta = timedelta(seconds=30),
        cache_entries: int = 500,
        cache_bytes: int = 64 * 2**20,
    ) -> None:
        self._schema = schema._schema  # noqa: SLF001  # strawberry gives its graphql-core schema no other name
        if schema.extensions or schema.directives:
            raise TypeError(
                "Schema extensions and operation directives are not run here: leave them out of the schema."
            )
        if any(self._schema.get_directive(item.name) for item in (GraphQLDeferDirective, GraphQLStreamDirective)):
            raise TypeError("@defer and @stream would pass errors unmasked: leave them out of the schema.")
        self._mask = mask or ErrorMask()
        self._timeout_seconds = timeout.total_seconds()
        cache = DocumentCache(max_entries=cache_entries, max_bytes=cache_bytes)
        self._desk = DocumentDesk(schema=self._schema, limits=limits or Limits(), mask=self._mask, cache=cache)
        self._constant_answers: WeakKeyDictionary[PreparedOperation, Answer] = WeakKeyDictionary()
        self._rendering: set[asyncio.Task[Form]] = set()

    @property
    def mask(self) -> ErrorMask:
        return self._mask

    def prepare(self, query: str, operation_name: str | None = None) -> PreparedOperation | Refusal:
        """Parses, limits and validates, or takes the outcome from the cache."""
        return self._desk.prepare(query, operation_name)

    async def execute(self, prepared: PreparedOperation, *, variables: Mapping[str, Any], context: Any) -> Answer:
        """Runs a query or mutation; the answer has no `data` key when it was refused before it ran.

        What takes longer than the timeout is cancelled, and told so; what a mutation has done by then may stand.
        """
        constant = self._constant_answers.get(prepared)
        if constant is not None:
            return constant
        refusal = self._desk.cost_refusal(prepared, variables)
        if refusal is not None:
            return {"errors": refusal.errors}
        executor = self._build(prepared, variables, context)
        if isinstance(executor, list):
            return {"errors": self._mask.variables(executor)}
        try:
            async with asyncio.timeout(self._timeout_seconds):
                result = executor.execute_operation()
                answer = self._answer(await result if executor.is_awaitable(result) else result, prepared)
        except TimeoutError:  # the clock's own: one that a resolver raises is an error at its field
            return {"data": None, "errors": [_timed_out(prepared, self._timeout_seconds)]}
        if prepared.is_constant and "errors" not in answer:
            self._constant_answers[prepared] = answer
        return answer

    async def open_stream(
        self,
        prepared: PreparedOperation,
        *,
        variables: Mapping[str, Any],
        context_factory: ContextFactory,
        viewer_key: Hashable | None = None,
    ) -> EventStream | Refusal:
        """Starts a subscription; every event is executed with a context of its own, so that no loader is stale.

        Subscriptions of the same document, variables (but for a cursor) and `viewer_key` share the payloads of
        events that are Shareable. Without a viewer key nothing is shared.
        """
        refusal = self._desk.cost_refusal(prepared, variables)
        if refusal is not None:
            return refusal
        executor = self._build(prepared, variables, context_factory())
        if isinstance(executor, list):
            return Refusal(errors=self._mask.variables(executor))
        created = create_source_event_stream(executor)
        source: Any = await created if executor.is_awaitable(created) else created
        if isinstance(source, ExecutionResult):
            fields = {"operation": prepared.name, "kind": prepared.kind.value}
            return Refusal(errors=self._mask.execution(source.errors or [], **fields))
        shared_variables = {name: value for name, value in variables.items() if name not in prepared.cursor_variables}
        return EventStream(
            source=source,
            render=lambda event: self._render(prepared, variables, context_factory(), event),
            key=sharing_key(
                text=prepared.text,
                operation_name=prepared.name,
                variables=shared_variables,
                viewer_key=viewer_key,
            ),
            failure=lambda error: self._mask.exception(error, operation=prepared.name, kind=prepared.kind.value),
            tasks=self._rendering,
        )

    def encode(self, answer: Answer) -> bytes:
        """Writes an answer as JSON; what JSON cannot hold is an internal error, not a broken response."""
        try:
            return orjson.dumps(answer)
        except orjson.JSONEncodeError as error:
            return orjson.dumps({"data": None, "errors": [self._mask.exception(error)]})

    def _render(
        self, prepared: PreparedOperation, variables: Mapping[str, Any], context: Any, event: Any
    ) -> bytes | Awaitable[bytes]:
        # A new executor for each event: graphql-core's copy of one executor shares a cache of subfields among all
        # events that is keyed by id() and never hits, about 1 kB an event.
        executor = self._build(prepared, variables, context, root_value=event)
        if isinstance(executor, list):
            return self.encode({"errors": self._mask.variables(executor)})
        result = executor.execute_operation(serially=False)
        if executor.is_awaitable(result):
            return self._render_later(prepared, result)
        return self.encode(self._answer(result, prepared))

    async def _render_later(self, prepared: PreparedOperation, result: Awaitable[Any]) -> bytes:
        answer = await result
        for error in answer.errors or ():  # half an event would be taken for the whole; the client comes back for it
            if isinstance(error.original_error, UnavailableError):
                raise error.original_error
        return self.encode(self._answer(answer, prepared))

    def _build(
        self, prepared: PreparedOperation, variables: Mapping[str, Any], context: Any, root_value: Any = None
    ) -> Executor[Any] | list[GraphQLError]:
        return PlainFieldExecutor.build(
            self._schema,
            prepared.document,
            root_value,
            context,
            dict(variables),
            prepared.name,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # returns bool where a TypeGuard is declared
        )

    def _answer(self, result: Any, prepared: PreparedOperation) -> Answer:
        answer: Answer = {"data": result.data}
        if result.errors:
            answer["errors"] = self._mask.execution(result.errors, operation=prepared.name, kind=prepared.kind.value)
        return answer


def _timed_out(prepared: PreparedOperation, seconds: float) -> dict[str, Any]:
    if prepared.kind is OperationType.MUTATION:
        advice = "Look whether it was done, then send it again if it was not."
    else:
        advice = "Ask for less at once, or try again in a moment."
    return plain_error(TransportCode.TIMEOUT, f"The operation was ended after {seconds:g} seconds. {advice}")

"""An operation that takes too long is ended, and its caller told so; a subscription may take for ever."""

import asyncio
from datetime import timedelta
from typing import Any

from app.graphql.transport.documents import Refusal
from app.graphql.transport.execution import GraphQLExecutor
from tests.graphql.transport.toy_schema import Context, World, toy_schema

EXECUTOR = GraphQLExecutor(schema=toy_schema(), timeout=timedelta(milliseconds=20))


async def run(document: str, **variables: Any) -> Any:
    prepared = EXECUTOR.prepare(document)
    assert not isinstance(prepared, Refusal)
    return await EXECUTOR.execute(prepared, variables=variables, context=Context(World(), None))


async def test_a_query_that_never_ends_is_ended() -> None:
    before = asyncio.all_tasks()
    answer = await run("{ hello slow }")
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "TIMEOUT"}
    assert "0.02 seconds" in error["message"]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


async def test_a_mutation_that_takes_too_long_says_that_it_may_have_been_done() -> None:
    answer = await run('mutation { write(text: "a") }')
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TIMEOUT"]
    assert "whether it was done" in answer["errors"][0]["message"]


async def test_what_is_quick_is_answered() -> None:
    assert await run("{ hello }") == {"data": {"hello": "Hello, world!"}}


async def test_a_subscription_outlives_the_timeout() -> None:
    prepared = EXECUTOR.prepare("subscription { count(to: 3, pause: 0.02) }")
    assert not isinstance(prepared, Refusal)
    stream = await EXECUTOR.open_stream(
        prepared, variables={}, context_factory=lambda: Context(World(), None), viewer_key=None
    )
    assert not isinstance(stream, Refusal)
    assert len([payload async for payload in stream]) == 3

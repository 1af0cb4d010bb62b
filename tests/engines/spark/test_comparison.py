"""Comparisons by Spark Connect, in a process and a session of their own."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from app.domain.reconciliation.result import ReconciliationResult
from app.engines.base import EngineError, WorkState
from app.engines.comparing.question import ComparedOutput
from app.engines.spark.comparison import seen_by_spark
from tests.engines.comparing.tables import Case, here, question

CASE = Case(left=b'k,a\n1,"x,y"\n2,1\n2,1\n', right=b'k;a\n1;"x,y"\n2;1.5\n', delimiters=(",", ";"), names=("k", "a"))
PLAYGROUND = UUID(int=7)


async def test_the_answer_is_the_local_one_and_progress_is_told(engine, tmp_path):
    handle = await engine.begin_comparison(question(CASE, tmp_path), run_id=uuid4(), playground_id=PLAYGROUND)
    assert not handle.durable
    shares = []
    while (poll := await engine.poll(handle, wait=timedelta(seconds=1))).state is WorkState.RUNNING:
        shares.append(poll.progress or 0.0)
    assert poll.state is WorkState.SUCCEEDED, poll.error
    assert shares == sorted(shares)
    assert shares[-1] > 0.5
    pieces = []

    async def write(piece: bytes) -> None:
        pieces.append(piece)

    document = await engine.take_comparison(handle, write)
    result, lines = here(CASE, tmp_path)
    assert ReconciliationResult.from_document(document) == result
    assert sorted(b"".join(pieces).split(b"\n")) == lines


async def test_cancelling_ends_it_in_the_server(engine, spark_server, tmp_path):
    rows = b"".join(b"%d,%d\n" % (number, number % 7) for number in range(200_000))
    large = Case(left=b"k,a\n" + rows, right=b"k,a\n" + rows, names=("k", "a"))
    handle = await engine.begin_comparison(question(large, tmp_path), run_id=uuid4(), playground_id=PLAYGROUND)
    while not (poll := await engine.poll(handle, wait=timedelta(seconds=1))).progress:
        assert poll.state is WorkState.RUNNING, poll.error
    await engine.cancel(handle)
    while (poll := await engine.poll(handle, wait=timedelta(seconds=1))).state is WorkState.RUNNING:
        pass
    assert poll.state is WorkState.CANCELLED
    async with asyncio.timeout(20):
        while not await spark_server.is_idle():  # noqa: ASYNC110 - a look at threads of another process
            await asyncio.sleep(0.05)


async def test_what_cannot_be_compared_is_told_as_the_local_comparison_tells_it(engine, tmp_path):
    wrong = replace(CASE, right=b"k;b\n1;2\n")
    handle = await engine.begin_comparison(question(wrong, tmp_path), run_id=uuid4(), playground_id=PLAYGROUND)
    while (poll := await engine.poll(handle, wait=timedelta(seconds=1))).state is WorkState.RUNNING:
        pass
    assert isinstance(poll.error, EngineError)
    assert (poll.error.code, poll.error.message) == (
        "INVALID",
        "The right side has no column 'a'. It has: 'k', 'b'.",
    )


@pytest.mark.parametrize(
    ("uri", "seen"), [("s3://bucket/a.csv", "s3a://bucket/a.csv"), ("file:///a.csv", "file:///a.csv")]
)
def test_objects_of_s3_are_named_as_hadoop_names_them(uri, seen):
    output = ComparedOutput(uri=uri, size_bytes=1, delimiter=",", name="left")
    assert seen_by_spark(output).uri == seen

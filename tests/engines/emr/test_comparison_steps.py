"""Comparisons as steps of a cluster: really run, taken up by another worker, cancelled, and refused in words."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest

from app.aws.clients import AwsAccount, AwsClients
from app.domain.reconciliation.result import ReconciliationResult
from app.engines.base import Handle, Poll, WorkState
from app.engines.comparing.question import Question
from app.engines.emr.engine import EmrEngine
from tests.engines.comparing.tables import Case, here, question
from tests.engines.emr.harness import Emr, settings_at
from tests.support.moto import KEYS

CASE = Case(
    left=b'k,a,b\n1,"line\nbreak",1.0\n2,"say ""hi""",2\n3,z,\n3,z,\n',
    right=b'k,a,b\n1,"line\nbreak",1\n2,"say ""ho""",2.5\n4,q,""\n3,z,\n',
)
PLAYGROUND = UUID(int=7)


@pytest.fixture
async def engine(cluster: Emr) -> AsyncIterator[EmrEngine]:
    engine = cluster.engine(max_step_retries=0, python="python3.12")
    yield engine
    await engine.close()


async def asked(cluster: Emr, folder: Path, case: Case = CASE) -> Question:
    """The question about two objects in the cluster's bucket."""
    clients = AwsClients(account=AwsAccount.of(settings_at(cluster.url, cluster.name)))
    local, name = question(case, folder), uuid4().hex
    for side, text in (("left", case.left), ("right", case.right)):
        await clients.call("s3", "put_object", Bucket=cluster.name, Key=f"{name}/{side}.csv", Body=text)
    await clients.close()
    return replace(
        local,
        left=replace(local.left, uri=f"s3://{cluster.name}/{name}/left.csv"),
        right=replace(local.right, uri=f"s3://{cluster.name}/{name}/right.csv"),
    )


async def end_of(engine: EmrEngine, handle: Handle) -> Poll:
    while (poll := await engine.poll(handle, wait=timedelta(seconds=1))).state is WorkState.RUNNING:
        pass
    return poll


async def taken(engine: EmrEngine, handle: Handle) -> tuple[ReconciliationResult, list[bytes]]:
    pieces: list[bytes] = []

    async def write(piece: bytes) -> None:
        pieces.append(piece)

    document = await engine.take_comparison(handle, write)
    return ReconciliationResult.from_document(document), sorted(b"".join(pieces).split(b"\n"))


async def arguments_of(cluster: Emr) -> list[list[str]]:
    clients = AwsClients(account=AwsAccount.of(settings_at(cluster.url, cluster.name)))
    found = (await clients.call("emr", "list_clusters"))["Clusters"]
    steps = [
        step for each in found for step in (await clients.call("emr", "list_steps", ClusterId=each["Id"]))["Steps"]
    ]
    await clients.close()
    return [step["Config"]["Args"] for step in steps]


async def test_a_step_gives_the_local_answer_and_another_worker_takes_it_up(cluster, engine, tmp_path):
    run_id, wanted = uuid4(), await asked(cluster, tmp_path)
    handle = await engine.begin_comparison(wanted, run_id=run_id, playground_id=PLAYGROUND)
    assert handle.durable
    successor = cluster.engine()
    again = await successor.begin_comparison(wanted, run_id=run_id, playground_id=PLAYGROUND)
    assert again == handle
    ended, also = await asyncio.gather(end_of(engine, handle), end_of(successor, again))
    assert (ended.state, also.state) == (WorkState.SUCCEEDED, WorkState.SUCCEEDED), ended.error
    assert await taken(successor, again) == here(CASE, tmp_path)
    assert await taken(engine, handle) == here(CASE, tmp_path)  # whoever took it first may have died since
    await successor.close()

    own = [args for args in await arguments_of(cluster) if run_id.hex in args[-1]]
    assert len(own) == 1
    assert "spark.pyspark.python=python3.12" in own[0]
    told = orjson.dumps(own).decode()
    assert not any(word in told for word in ("left.csv", "mapping", *KEYS.values()))


async def test_what_cannot_be_compared_is_told_as_the_local_comparison_tells_it(cluster, engine, tmp_path):
    wanted = await asked(cluster, tmp_path, replace(CASE, names=("k", "missing")))
    poll = await end_of(engine, await engine.begin_comparison(wanted, run_id=uuid4(), playground_id=PLAYGROUND))
    assert poll.error is not None
    assert (poll.state, poll.error.code, poll.error.retriable) == (WorkState.FAILED, "INVALID", False)
    assert poll.error.message == "The left side has no column 'missing'. It has: 'k', 'a', 'b'."


async def test_cancelling_cancels_the_step(cluster, engine, tmp_path):
    cluster.runner.held = True
    try:
        handle = await engine.begin_comparison(await asked(cluster, tmp_path), run_id=uuid4(), playground_id=PLAYGROUND)
        while (poll := await engine.poll(handle, wait=timedelta(seconds=1))).handle is None:
            pass
        await engine.cancel(poll.handle)
        assert (await end_of(engine, handle)).state is WorkState.CANCELLED
    finally:
        cluster.runner.held = False

"""The sweeper: what was stranded is sent again, what is not is left alone, and nothing is sent without end."""

import asyncio
from datetime import timedelta

from redis import Redis

from app.domain.events import JobName
from app.domain.identity import new_id, utc_now
from app.domain.status import ReconciliationStatus, RunStatus, TaskRunStatus
from app.models import Base, Run
from app.services.recovery import LOST_AFTER, SLOW_AFTER
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import LEASE, Workbench, flush

LOST, SLOW = LOST_AFTER * 10, SLOW_AFTER * 1.5  # far enough that a slow machine makes no difference


async def jobs(bench: Workbench) -> int:
    return await bench.process.queue.length(JobName.EXECUTE_TASKS)


async def queued(bench: Workbench, count: int) -> Run:
    """A run whose tasks are all queued but the first."""
    playground, _ = await bench.graph({f"t{n:03}": "" for n in range(count + 1)})
    gate = asyncio.Event()
    gate.set()
    hand = await bench.hand()
    run = await bench.launch(playground)
    await hand.start(run)
    await hand.lease.end()
    assert list((await bench.statuses(run)).values()).count(TaskRunStatus.QUEUED) == count
    return run


def forget_the_queue(bench: Workbench) -> None:
    flush(bench.process.settings.redis_url)


async def ids_of(bench: Workbench, run: Run, status: TaskRunStatus) -> list:
    return [row.id for row in (await bench.task_runs(run)).values() if row.status is status]


async def test_a_run_whose_first_job_was_lost_is_started(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)
    forget_the_queue(bench)
    assert (await bench.sweep()).jobs == 0  # it is too young to be lost
    await bench.age("task_run", "queued_at", LOST, await ids_of(bench, run, TaskRunStatus.QUEUED))
    assert (await bench.sweep()).jobs == 1
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS


async def test_queued_tasks_whose_jobs_were_lost_are_sent_again_and_the_run_ends(bench: Workbench) -> None:
    run = await queued(bench, 5)
    forget_the_queue(bench)
    await bench.age("task_run", "queued_at", LOST, await ids_of(bench, run, TaskRunStatus.QUEUED))
    assert (await bench.sweep()).jobs == 5
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS


def age_the_queue(bench: Workbench, by: timedelta) -> None:
    """As if its jobs had been sent earlier."""
    with Redis.from_url(bench.process.settings.redis_url) as client:
        for queue in client.scan_iter("phantom:*", _type="zset"):
            for job_id in client.zrange(queue, 0, -1):
                client.zincrby(queue, -by.total_seconds() * 1000, job_id)


async def test_behind_older_jobs_waiting_is_no_sign_of_loss(bench: Workbench) -> None:
    run = await queued(bench, 3)
    before = await jobs(bench)
    await bench.age("task_run", "queued_at", LOST, await ids_of(bench, run, TaskRunStatus.QUEUED))
    age_the_queue(bench, LOST)
    assert (await bench.sweep()).jobs == 0
    assert await jobs(bench) == before


async def test_what_has_waited_longer_than_the_first_job_was_lost_and_is_sent_again_once(bench: Workbench) -> None:
    run = await queued(bench, 3)
    (lost, *_) = await ids_of(bench, run, TaskRunStatus.QUEUED)
    await bench.age("task_run", "queued_at", LOST, [lost])
    assert (await bench.sweep()).jobs == 1
    assert (await bench.sweep()).jobs == 0, "it has its old place in the queue"
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS


async def test_a_job_lost_behind_older_ones_is_sent_again_later(bench: Workbench) -> None:
    run = await queued(bench, 3)
    (lost, *_) = await ids_of(bench, run, TaskRunStatus.QUEUED)
    age_the_queue(bench, SLOW * 2)
    assert (await bench.sweep()).jobs == 0
    await bench.age("task_run", "queued_at", SLOW_AFTER - timedelta(milliseconds=50), [lost])
    assert (await bench.sweep()).jobs == 0

    async def sent() -> bool:
        return (await bench.sweep()).jobs == 1

    await bench.until(sent)


async def test_sweeping_again_and_again_does_not_fill_the_queue(bench: Workbench) -> None:
    run = await queued(bench, 20)
    waiting = await ids_of(bench, run, TaskRunStatus.QUEUED)
    before = await jobs(bench)
    await bench.age("task_run", "queued_at", SLOW, waiting)
    sweepers = [bench.new_sweeper(), bench.new_sweeper()]
    for _ in range(20):
        for sweeper in sweepers:
            await sweeper.sweep()
    assert await jobs(bench) <= before + len(waiting) * len(sweepers)


async def test_a_retry_that_is_not_due_and_a_task_that_is_held_are_left_alone(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": ""})
    bench.cluster.plan("a", until=asyncio.Event())
    hand = await bench.hand()
    run = await bench.launch(playground)
    carrying = asyncio.create_task(hand.start(run))
    await bench.cluster.until_submitted("a")
    rows = await bench.task_runs(run)
    await bench.age("task_run", "queued_at", timedelta(minutes=-5), [rows["b"].id])
    await bench.age("task_run", "started_at", timedelta(hours=5), [rows["a"].id])
    forget_the_queue(bench)
    await hand.lease.beat()
    swept = await bench.sweep()
    assert (swept.dead_workers, swept.jobs) == (0, 0)
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)


async def test_a_silent_workers_tasks_are_sent_at_once_and_a_living_ones_lease_stays(bench: Workbench) -> None:
    bench.cluster.plan("a", until=asyncio.Event())
    playground, _ = await bench.graph({"a": ""})
    silent, living = await bench.hand(), await bench.hand()
    run = await bench.launch(playground)
    carrying = asyncio.create_task(silent.start(run))
    await bench.cluster.until_submitted("a")
    forget_the_queue(bench)
    await bench.age("worker", "heartbeat_at", LEASE * 2, [silent.id])
    await living.lease.beat()
    swept = await bench.sweep()
    assert (swept.dead_workers, swept.jobs) == (1, 1)  # in one sweep
    assert await jobs(bench) == 1
    async with bench.database.read() as unit:
        assert await unit.workers.exists(living.id)
        assert not await unit.workers.exists(silent.id)
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)


async def test_ended_runs_and_tasks_are_never_swept(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a"})
    async with bench.worker():
        run = await bench.run(playground)
    rows = await bench.task_runs(run)
    await bench.age("task_run", "queued_at", timedelta(days=1), [row.id for row in rows.values()])
    await bench.age("run", "created_at", timedelta(days=1), [run.id])
    assert (await bench.sweep()).jobs == 0


async def test_a_comparison_that_waits_or_was_lost_is_sent_again(bench: Workbench) -> None:
    run_id = await _comparison(bench, status=ReconciliationStatus.PENDING, worker_id=None)
    assert (await bench.sweep()).jobs == 0
    await bench.age("reconciliation_run", "created_at", LOST, [run_id])
    assert (await bench.sweep()).jobs == 1
    forget_the_queue(bench)
    await _comparison(bench, status=ReconciliationStatus.RUNNING, worker_id=new_id())
    assert (await bench.sweep()).jobs == 2


async def test_a_comparison_that_its_worker_knows_nothing_of_is_let_go(bench: Workbench) -> None:
    hand = await bench.hand()
    run_id = await _comparison(bench, status=ReconciliationStatus.RUNNING, worker_id=hand.id)
    await hand.lease.beat()
    assert (await bench.sweep()).jobs == 0
    await bench.age("reconciliation_run", "started_at", timedelta(seconds=6), [run_id])
    await hand.lease.beat()
    assert await bench.process.queue.length(JobName.RECONCILE) == 1
    async with bench.database.read() as unit:
        row = await unit.reconciliations.run(run_id)
    assert row is not None
    assert row.worker_id is None


async def _comparison(bench: Workbench, *, status: ReconciliationStatus, worker_id):
    playground, tasks = await bench.graph({"a": ""})
    async with bench.worker():
        run = await bench.run(playground)
    (row,) = (await bench.task_runs(run)).values()
    pair_id, run_id, at = new_id(), new_id(), utc_now()
    tables = Base.metadata.tables

    async def work(unit: UnitOfWork) -> None:
        await unit._session.execute(
            tables["reconciliation"].insert().values(
                id=pair_id, playground_id=playground.id, left_task_id=tasks["a"].id, right_task_id=tasks["a"].id,
                mapping=[], options={}, created_at=at, modified_at=at,
            )
        )  # fmt: skip
        await unit.reconciliations.add_runs(
            [
                {
                    "id": run_id,
                    "reconciliation_id": pair_id,
                    "playground_id": playground.id,
                    "left_task_run_id": row.id,
                    "right_task_run_id": row.id,
                    "mapping": [],
                    "options": {},
                    "status": status,
                    "progress": 0.0,
                    "event_sequence": 0,
                    "created_at": at,
                    "started_at": at,
                    "worker_id": worker_id,
                }
            ]
        )

    await bench.database.write(work)
    forget_the_queue(bench)
    return run_id

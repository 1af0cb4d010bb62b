"""An attempt on EMR from its folder to its end, over an EMR that goes by a plan: nothing given twice, nothing lost."""

import asyncio
import json
from datetime import timedelta

from app.aws.errors import TerminalAwsError
from app.domain.tasks import TaskType
from app.engines.base import Handle, TerminalEngineError, TransientEngineError, WorkState
from app.engines.emr.engine import EmrEngine
from tests.engines.driving import Driver

QUERY = "SELECT 1 AS a"


def driver_of(engine: EmrEngine, tmp_path) -> Driver:
    return Driver(engine, type=TaskType.SPARK_SQL, folder=tmp_path)


async def until(true) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def leave(engine: EmrEngine, handle: Handle, number: int, **outcome: object) -> None:
    """What the script in the step would have left of the try."""
    key = f"{handle.text.partition(' ')[0]}/{number}"
    text = {"format": "csv", "columns": [{"name": "a", "type": "int"}], "log": [["stdout", "said"]], **outcome}
    await engine._bucket.put(f"{key}/parts/part-00000.txt", b"1\n")
    await engine._bucket.put(f"{key}/outcome/part-00000.txt", json.dumps(text).encode())


async def test_the_handle_is_the_folder_and_then_names_cluster_and_step(planned, aws, tmp_path):
    engine = planned()
    handle = await engine.submit(driver_of(engine, tmp_path).work(QUERY))
    assert handle.durable
    await until(lambda: aws.steps)
    while (poll := await engine.poll(handle, wait=timedelta(seconds=1))).handle is None:
        pass
    assert poll.handle.text == f"{handle.text} j-1 s-0"
    assert (await engine.poll(poll.handle, wait=timedelta(0))).handle is None


async def test_no_part_of_the_text_is_in_the_step(planned, aws, tmp_path):
    engine = planned()
    await engine.submit(driver_of(engine, tmp_path).work("SELECT 'secret $(id) `id`; \" '"))
    await until(lambda: aws.steps)
    (step,) = aws.arguments("add_job_flow_steps")["Steps"]
    assert step["ActionOnFailure"] == "CONTINUE"
    assert step["HadoopJarStep"]["Jar"] == "command-runner.jar"
    assert step["HadoopJarStep"]["Args"][0] == "spark-submit"
    assert "secret" not in json.dumps(step)


async def test_output_columns_and_log_come_from_what_the_step_left(planned, aws, tmp_path):
    engine = planned()
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    await leave(engine, handle, 1)
    await until(lambda: aws.steps)
    aws.steps["s-0"]["state"] = "COMPLETED"
    poll, lines = await driver.follow(handle)
    assert poll.state is WorkState.SUCCEEDED
    assert "said" in lines
    stored = await driver.fetch(handle)
    assert (stored.row_count, [column.type for column in stored.columns]) == (1, ["INT"])


async def test_a_step_that_dies_without_a_word_is_given_again_as_often_as_is_permitted(planned, aws, tmp_path):
    engine = planned(max_step_retries=2)
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    following = asyncio.create_task(driver.follow(handle))
    for number in range(3):
        await until(lambda number=number: f"s-{number}" in aws.steps)
        aws.steps[f"s-{number}"]["state"] = "FAILED"
    poll, lines = await following
    assert isinstance(poll.error, TransientEngineError)
    assert (poll.error.code, len(aws.steps)) == ("STEP_FAILED", 3)
    assert len({step["name"] for step in aws.steps.values()}) == 3
    assert any("1 of 2" in line for line in lines)


async def test_a_second_try_that_succeeds_is_the_one_that_is_fetched(planned, aws, tmp_path):
    engine = planned()
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    await until(lambda: aws.steps)
    aws.steps["s-0"]["state"] = "FAILED"
    await leave(engine, handle, 2, columns=[{"name": "second", "type": "bigint"}])
    await until(lambda: "s-1" in aws.steps)
    aws.steps["s-1"]["state"] = "COMPLETED"
    assert (await driver.follow(handle))[0].state is WorkState.SUCCEEDED
    assert [column.name for column in (await driver.fetch(handle)).columns] == ["second"]


async def test_an_error_that_the_step_tells_is_terminal_and_costs_no_retry(planned, aws, tmp_path):
    engine = planned()
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    await leave(engine, handle, 1, error={"code": "SYNTAX", "message": "no such word"})
    await until(lambda: aws.steps)
    aws.steps["s-0"]["state"] = "FAILED"
    poll, _ = await driver.follow(handle)
    assert isinstance(poll.error, TerminalEngineError)
    assert (poll.error.code, poll.error.message, len(aws.steps)) == ("SYNTAX", "no such word", 1)


async def test_a_cluster_that_goes_with_its_step_is_brought_up_for_another_try(planned, aws, tmp_path):
    engine = planned()
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    await until(lambda: aws.steps)
    aws.clusters["j-1"] = "TERMINATED"
    aws.steps["s-0"]["state"] = "CANCELLED"
    await until(lambda: "s-1" in aws.steps)
    assert aws.arguments("add_job_flow_steps")["JobFlowId"] == "j-2"
    await leave(engine, handle, 2)
    aws.steps["s-1"]["state"] = "COMPLETED"
    assert (await driver.follow(handle))[0].state is WorkState.SUCCEEDED


async def test_a_cluster_that_has_gone_since_it_was_looked_at_is_brought_up(planned, aws, tmp_path):
    give = aws._add_job_flow_steps

    def give_or_refuse(**arguments: object) -> object:
        if aws.clusters[arguments["JobFlowId"]] == "WAITING":
            return give(**arguments)
        message = "A job flow that is shutting down, terminated, or finished may not be modified."
        raise TerminalAwsError(message, code="ValidationException")

    aws._add_job_flow_steps = give_or_refuse
    engine = planned()
    driver = driver_of(engine, tmp_path)
    await engine.submit(driver.work(QUERY))
    await until(lambda: aws.steps)
    aws.clusters["j-1"] = "TERMINATED"
    await engine.submit(driver.work(QUERY))
    await until(lambda: "s-1" in aws.steps)
    assert [arguments["JobFlowId"] for name, arguments in aws.calls if name == "add_job_flow_steps"] == [
        "j-1",
        "j-1",
        "j-2",
    ]


async def test_a_step_that_somebody_cancels_in_emr_is_not_given_again(planned, aws, tmp_path):
    engine = planned()
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    await until(lambda: aws.steps)
    aws.steps["s-0"]["state"] = "CANCELLED"
    poll, _ = await driver.follow(handle)
    assert (poll.error.code, poll.error.retriable, len(aws.steps)) == ("CANCELLED", False, 1)


async def test_a_lost_answer_gives_no_second_step(planned, aws, tmp_path):
    aws.lost_answers = 1
    engine = planned()
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    await leave(engine, handle, 1)
    await until(lambda: aws.steps)
    aws.steps["s-0"]["state"] = "COMPLETED"
    assert (await driver.follow(handle))[0].state is WorkState.SUCCEEDED
    assert aws.count("add_job_flow_steps") == 1


async def test_a_cluster_that_is_full_is_waited_for(planned, aws, tmp_path):
    aws.full = 2
    engine = planned()
    await engine.submit(driver_of(engine, tmp_path).work(QUERY))
    await until(lambda: aws.steps)
    assert aws.count("add_job_flow_steps") == 3


async def test_two_processes_that_follow_the_same_attempt_give_one_step(planned, aws, tmp_path):
    aws.clusters["j-1"] = "TERMINATED"  # both wait for it, and both see it come up
    first, second = planned(), planned()
    handle = await first.submit(driver_of(first, tmp_path).work(QUERY))
    await second.poll(handle, wait=timedelta(0))
    await until(lambda: aws.steps)
    while (poll := await second.poll(handle, wait=timedelta(seconds=1))).handle is None:
        pass
    assert poll.handle.text.endswith("j-2 s-0")
    assert aws.count("add_job_flow_steps") == 1
    assert all(engine._place.steps._all_here.is_set() for engine in (first, second)), "no step is waited for any more"


async def test_another_process_finds_the_step_of_one_that_died_before_writing_it_down(
    planned, aws, tmp_path, monkeypatch
):
    monkeypatch.setattr("app.engines.emr.giving._ACT_SECONDS", 0.2)
    first = planned()
    handle = await first.submit(driver_of(first, tmp_path).work(QUERY))
    while (await first.poll(handle, wait=timedelta(seconds=1))).handle is None:
        pass
    await first.close()
    second = planned()
    await second._bucket.put(f"{handle.text}/record.json", b"{}")
    while (poll := await second.poll(handle, wait=timedelta(seconds=1))).handle is None:
        pass
    assert poll.handle.text.endswith("j-1 s-0")
    assert aws.count("add_job_flow_steps") == 1


async def test_work_cancelled_while_the_cluster_comes_up_never_gets_a_step(planned, aws, tmp_path):
    aws.clusters["j-1"] = "TERMINATED"
    aws.looks_in_progress = 1_000
    engine = planned()
    driver = driver_of(engine, tmp_path)
    handle = await engine.submit(driver.work(QUERY))
    await until(lambda: aws.count("update_stack"))
    await engine.cancel(handle)
    assert (await driver.follow(handle))[0].state is WorkState.CANCELLED
    again = planned()
    assert (await driver_of(again, tmp_path).follow(handle))[0].state is WorkState.CANCELLED
    assert aws.count("add_job_flow_steps") == 0


async def test_a_time_limit_cancels_the_step_and_is_told(planned, aws, tmp_path):
    engine = planned()
    driver = driver_of(engine, tmp_path)
    ended = await driver.run(QUERY, limit=timedelta(seconds=0.5))
    assert (ended.state, ended.code) == (WorkState.FAILED, "TIMEOUT")
    assert aws.steps["s-0"]["state"] == "CANCELLED"


async def test_what_aws_refuses_ends_the_work_with_aws_s_words(planned, aws, tmp_path):
    def refuse(**_arguments: object) -> None:
        raise TerminalAwsError("AWS emr refused add_job_flow_steps: no (AccessDenied).", code="AccessDeniedException")

    aws._add_job_flow_steps = refuse
    engine = planned()
    ended = await driver_of(engine, tmp_path).run(QUERY)
    assert (ended.state, ended.code) == (WorkState.FAILED, "PERMISSION")


async def test_a_deleted_playground_leaves_nothing_in_the_bucket(planned, aws, tmp_path):
    engine = planned()
    work = driver_of(engine, tmp_path).work(QUERY)
    handle = await engine.submit(work)
    await until(lambda: aws.steps)
    await engine.cancel(handle)
    await engine.forget(work.playground_id)
    left = [found.key async for found in engine._bucket.objects("data-phantom/emr/")]
    assert all("/scripts/" in key for key in left)


async def test_health_tells_what_is_wrong_with_the_stack(planned, aws):
    assert (await planned().check()).healthy
    aws.stack_there = False
    health = await planned().check()
    assert not health.healthy
    assert "There is no stack phantom" in health.message


async def test_fifty_attempts_cost_few_calls(planned, aws, tmp_path, monkeypatch):
    monkeypatch.setattr("app.engines.emr.steps._PATIENCE", 60)  # however slowly the bucket takes their folders
    engine = planned()
    driver = driver_of(engine, tmp_path)
    await asyncio.gather(*(engine.submit(driver.work(QUERY)) for _ in range(50)))
    await until(lambda: len(aws.steps) == 50)
    assert [name for name, _ in aws.calls] == ["list_stack_resources", "describe_cluster", "add_job_flow_steps"]
    before, looks = len(aws.calls), aws.count("list_steps")
    await until(lambda: aws.count("list_steps") >= looks + 5)
    assert len(aws.calls) - before <= 6

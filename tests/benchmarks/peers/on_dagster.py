"""The shapes of tests.benchmarks.engine on Dagster, with a local instance on its default SQLite.

Three set-ups. *Called*: `execute_in_process` in a process that is warm, with the event log on disk; nobody takes the
run over when the process dies: the least that Dagster takes. *Launched in one process*: started through the web
server's API, in a process of its own for each run. *Launched*: the same with the default executor, which gives every
step a process; what compares with a run of ours, whose every task outlives the loss of its worker.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from dagster import DagsterInstance, Definitions, DependencyDefinition, GraphDefinition, In, Nothing, op
from dagster import MultiDependencyDefinition as Several
from dagster import NodeInvocation as Node
from dagster_graphql import DagsterGraphQLClient

from tests.benchmarks.usage import cpu_seconds, memory_mb
from tests.support.processes import free_port

HOME = Path(os.environ["PEER_HOME"])
os.environ["DAGSTER_HOME"] = str(HOME)

CHAIN, WIDE = 40, 1_000
REPEATS = 5
SETTLE_SECONDS, IDLE_SECONDS = 5, 20
PATIENCE_SECONDS = 300
POLL_SECONDS = 0.05
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ONE_PROCESS = QUIET | {"execution": {"config": {"in_process": {}}}}
ENDS = {"SUCCESS", "FAILURE", "CANCELED"}


@op(ins={"before": In(Nothing)})
def no_op() -> None:
    """Return at once."""


def job(name: str, parents: dict[str, list[str]]) -> Any:
    """A job of no-ops by names, each with those that it waits for."""
    return GraphDefinition(
        name=name,
        node_defs=[no_op],
        dependencies={
            Node("no_op", alias=node): {"before": Several([DependencyDefinition(each) for each in before])}
            if before
            else {}
            for node, before in parents.items()
        },
    ).to_job()


BRANCHES = [f"branch_{number}" for number in range(CHAIN)]
MANY = [f"branch_{number}" for number in range(WIDE - 2)]
one = job("one", {"only": []})
chain = job("chain", {f"link_{number}": [f"link_{number - 1}"] if number else [] for number in range(CHAIN)})
fan = job("fan", {each: [] for each in BRANCHES} | {"join": BRANCHES})
wide = job("wide", {"source": []} | {each: ["source"] for each in MANY} | {"join": MANY})
definitions = Definitions(jobs=[one, chain, fan, wide])


def timed(run: Callable[[], object], repeats: int) -> float:
    """The median, after a warm-up where there is more than one."""
    figures = []
    for _ in range(repeats + (repeats > 1)):
        begin = time.perf_counter()
        run()
        figures.append(time.perf_counter() - begin)
    return median(figures[-repeats:])


def called(each: Any, instance: DagsterInstance) -> None:
    if not each.execute_in_process(instance=instance, run_config=QUIET).success:
        raise AssertionError(f"{each.name} failed")


def launched(client: DagsterGraphQLClient, name: str, config: dict[str, Any]) -> None:
    run = client.submit_job_execution(name, run_config=config)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (status := client.get_run_status(run).value) not in ENDS:
        if time.monotonic() > deadline:
            raise AssertionError(f"{name} is {status} after {PATIENCE_SECONDS} s")
        time.sleep(POLL_SECONDS)
    if status != "SUCCESS":
        raise AssertionError(f"{name} ended {status}")


@contextlib.contextmanager
def served(port: int) -> Iterator[int]:
    """`dagster dev`: web server, daemon and the process that holds the code."""
    program = Path(sys.executable).with_name("dagster")
    command = [str(program), "dev", "-f", __file__, "-p", str(port), "--log-level", "error"]
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": path}) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            ready()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def idle(pid: int) -> dict[str, float]:
    time.sleep(SETTLE_SECONDS)
    cpu = cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return {"idle CPU %": (cpu_seconds(pid) - cpu) / IDLE_SECONDS * 100, "idle MB": memory_mb(pid)}


def main() -> dict[str, dict[str, float]]:
    shapes = {"one task s": one, f"chain of {CHAIN} s": chain, f"{CHAIN} and a join s": fan}
    many = f"{WIDE:,} tasks s"
    (HOME / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    rows: dict[str, dict[str, float]] = {"called": {}, "launched in one process": {}, "launched": {}}
    with DagsterInstance.get() as instance:
        for name, each in shapes.items():
            rows["called"][name] = timed(partial(called, each, instance), REPEATS)
        rows["called"][many] = timed(partial(called, wide, instance), 1)
        rows["called"]["tasks/s"] = WIDE / rows["called"][many]
    port = free_port()
    with served(port) as pid:
        client = DagsterGraphQLClient("127.0.0.1", port_number=port)
        until(lambda: launched(client, "one", ONE_PROCESS))
        rows["launched"] |= idle(pid)
        for name, each in shapes.items():
            rows["launched in one process"][name] = timed(partial(launched, client, each.name, ONE_PROCESS), 3)
            rows["launched"][name] = timed(partial(launched, client, each.name, QUIET), 1)
    return {f"Dagster, {name}": row for name, row in rows.items()}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given != {"chain": CHAIN, "wide": WIDE}:
        raise SystemExit(f"the jobs here are of other sizes than {given}")
    print(json.dumps(main()))  # noqa: T201  # what the caller reads

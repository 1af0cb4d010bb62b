"""The shapes of tests.benchmarks.engine on Prefect 3, with a local server on its default SQLite.

Two set-ups. *Called*: the flow is called in a process that is warm; tasks run in its thread pool and report to the
server. Nothing is waited for that a trigger from outside would take, and nobody takes the run over when the process
dies: the least that Prefect takes. *Deployed*: the flow is served and started through the API, in a process of its own
for each run, looked for every second (the least that can be set); what compares with a run of ours.
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
from urllib.request import urlopen

from tests.benchmarks.usage import cpu_seconds, memory_mb
from tests.support.processes import free_port

PORT = int(os.environ.setdefault("PEER_PORT", str(free_port())))
os.environ |= {
    "PREFECT_HOME": os.environ["PEER_HOME"],
    "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

from prefect import flow, serve, task  # noqa: E402  # it reads its settings when it is imported
from prefect.deployments import run_deployment  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

THREADS = 10  # more are slower on two cores
REPEATS = 5
SETTLE_SECONDS, IDLE_SECONDS = 5, 20
PATIENCE_SECONDS = 120


@task
def no_op(_before: object = None) -> None:
    """Return at once."""


@flow
def one() -> None:
    no_op()


@flow
def chain(length: int) -> None:
    before = None
    for _ in range(length):
        before = no_op(before)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=THREADS))
def fan(width: int) -> None:
    no_op.submit(wait_for=[no_op.submit() for _ in range(width)]).result()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=THREADS))
def wide(width: int) -> None:
    source = no_op.submit()
    no_op.submit(wait_for=[no_op.submit(wait_for=[source]) for _ in range(width - 2)]).result()


def timed(run: Callable[[], object]) -> float:
    """The median after a warm-up."""
    figures = []
    for _ in range(1 + REPEATS):
        begin = time.perf_counter()
        run()
        figures.append(time.perf_counter() - begin)
    return median(figures[1:])


def idle(*pids: int) -> dict[str, float]:
    time.sleep(SETTLE_SECONDS)
    cpu = sum(cpu_seconds(pid) for pid in pids)
    time.sleep(IDLE_SECONDS)
    used = (sum(cpu_seconds(pid) for pid in pids) - cpu) / IDLE_SECONDS
    return {"idle MB": sum(memory_mb(pid) for pid in pids), "idle CPU %": used * 100}


def deployed(name: str, **parameters: int) -> None:
    run = run_deployment(f"{name}/bench", parameters=parameters, poll_interval=0.1, timeout=PATIENCE_SECONDS)
    if not run.state.is_completed():
        raise AssertionError(f"{name} ended {run.state}")


@contextlib.contextmanager
def process(*command: str) -> Iterator[int]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as started:
        try:
            yield started.pid
        finally:
            started.terminate()


def until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            ready()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def main(chain_length: int, width: int) -> dict[str, dict[str, float]]:
    shapes: dict[str, tuple[Any, dict[str, int]]] = {
        "one task s": (one, {}),
        f"chain of {chain_length} s": (chain, {"length": chain_length}),
        f"{chain_length} and a join s": (fan, {"width": chain_length}),
    }
    called: dict[str, float] = {}
    by_api: dict[str, float] = {}
    program = str(Path(sys.executable).with_name("prefect"))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(process(program, "server", "start", "--port", str(PORT)))
        until(lambda: urlopen(f"{os.environ['PREFECT_API_URL']}/health").close())  # noqa: S310  # our own server
        served = stack.enter_context(process(sys.executable, __file__, "serve"))
        until(partial(deployed, "one"))
        by_api |= idle(server, served)
        for name, (each, parameters) in shapes.items():
            by_api[name] = timed(partial(deployed, each.name, **parameters))
            called[name] = timed(partial(each, **parameters))
        # Last, for the server answers nothing else while it works off what a thousand tasks have reported.
        begin = time.perf_counter()
        wide(width)
        called[f"{width:,} tasks s"] = time.perf_counter() - begin
    called["tasks/s"] = width / called[f"{width:,} tasks s"]
    return {"Prefect, called": called, "Prefect, deployed": by_api}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*(each.to_deployment("bench") for each in (one, chain, fan, wide)))
    else:
        given = json.loads(sys.argv[1])
        print(json.dumps(main(given["chain"], given["wide"])))  # noqa: T201  # what the caller reads

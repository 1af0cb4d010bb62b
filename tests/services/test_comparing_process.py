"""The comparing process: bounded, killed and limited, and nothing is left of it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from app.domain.reconciliation.kernels.cache import VARIABLE
from app.domain.status import ReconciliationStatus
from app.models import Reconciliation, ReconciliationRun
from app.services import comparer, comparison_process
from app.services.comparer import environment
from app.services.comparison_request import ComparisonRequest
from tests.services.compared import ended, launched, pair_of, row_of
from tests.support.workbench import Workbench

Create = Callable[..., "asyncio.Future[asyncio.subprocess.Process]"]


class Frozen:
    """Comparing processes that are stopped by the system before they do anything."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    async def start(self, *command: str, **options: object) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(*command, **options)  # type: ignore[arg-type]
        process.send_signal(signal.SIGSTOP)
        self.pids.append(process.pid)
        return process

    async def until(self, count: int) -> None:
        async with asyncio.timeout(15):
            while len(self.pids) < count:  # noqa: ASYNC110 - the system tells nobody
                await asyncio.sleep(0.005)


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Frozen:
    found = Frozen()
    monkeypatch.setattr(comparer, "create_process", found.start)
    return found


@pytest.fixture
async def pair(bench: Workbench) -> AsyncIterator[Reconciliation]:
    """Of two outputs that differ; a worker with room for one comparison is there."""
    playground, tasks = await bench.graph({"a": "", "b": ""})
    async with bench.worker(reconciliations={"max_processes": 1}):
        await bench.run(playground)
        yield await pair_of(bench, playground, tasks["a"], tasks["b"])


def gone(pid: int) -> bool:
    """A zombie waits for its parent alone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def left_behind(bench: Workbench) -> list[str]:
    """Files of comparisons, finished or not."""
    root = bench.process.settings.outputs.directory
    found = [path for folder in (root / "reconciliations", root / ".partial", root.parent / "spill")
             for path in folder.rglob("*") if path.is_file()]  # fmt: skip
    return [str(path.relative_to(root.parent)) for path in found]


async def at_work(bench: Workbench, run: ReconciliationRun) -> None:
    async def running() -> bool:
        return (await row_of(bench, run.id)).status is ReconciliationStatus.RUNNING

    await bench.until(running)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_is_killed_ends_its_run_with_what_to_do(bench: Workbench, pair, frozen: Frozen) -> None:
    run = await launched(bench, pair)
    await frozen.until(1)
    os.kill(frozen.pids[0], signal.SIGKILL)
    failed = await ended(bench, run.id)
    assert (failed.status, failed.error_code) == (ReconciliationStatus.FAILED, "UNAVAILABLE")
    assert "by SIGKILL" in (failed.error_message or "")
    assert "reconciliation_settings.memory_limit" in (failed.error_message or "")
    assert left_behind(bench) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_gives_up_within_its_limit_of_memory_says_that_it_is_too_low(
    bench: Workbench, frozen: Frozen
) -> None:
    """As a compiler does, for which there is no MemoryError."""
    playground, tasks = await bench.graph({"a": "", "b": ""})
    async with bench.worker(reconciliations={"memory_limit": 2**30}):
        await bench.run(playground)
        run = await launched(bench, await pair_of(bench, playground, tasks["a"], tasks["b"]))
        await frozen.until(1)
        for number in (signal.SIGABRT, signal.SIGCONT):
            os.kill(frozen.pids[0], number)
        assert (await ended(bench, run.id)).error_code == "OUT_OF_MEMORY"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_does_not_hear_is_ended_all_the_same_when_it_is_cancelled(
    bench: Workbench, pair, frozen: Frozen
) -> None:
    run = await launched(bench, pair)
    await frozen.until(1)
    await bench.services.reconciliations.cancel(bench.viewer, run.id)
    assert (await ended(bench, run.id)).status is ReconciliationStatus.CANCELLED
    assert gone(frozen.pids[0])
    assert left_behind(bench) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_whose_reconciliation_is_deleted_ends_and_leaves_nothing(
    bench: Workbench, pair, frozen: Frozen
) -> None:
    await launched(bench, pair)
    await frozen.until(1)
    await bench.services.reconciliations.delete(bench.viewer, pair.id)

    async def over() -> bool:
        return gone(frozen.pids[0])

    await bench.until(over)
    assert left_behind(bench) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_finds_no_room_waits_for_it(bench: Workbench, pair, frozen: Frozen) -> None:
    first, second = await launched(bench, pair), await launched(bench, pair)
    await at_work(bench, first)
    await frozen.until(1)
    assert (await row_of(bench, second.id)).status is ReconciliationStatus.PENDING
    await bench.services.reconciliations.cancel(bench.viewer, first.id)
    await at_work(bench, second)
    await frozen.until(2)
    os.kill(frozen.pids[1], signal.SIGCONT)
    assert (await ended(bench, second.id)).status is ReconciliationStatus.SUCCESS


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_worker_that_is_stopped_hands_its_comparison_over(
    bench: Workbench, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground, tasks = await bench.graph({"a": "", "b": ""})
    async with bench.worker():
        await bench.run(playground)
        run = await launched(bench, await pair_of(bench, playground, tasks["a"], tasks["b"]))
        await frozen.until(1)
    assert (await row_of(bench, run.id)).status is ReconciliationStatus.PENDING
    assert gone(frozen.pids[0])
    monkeypatch.undo()
    async with bench.worker():
        assert (await ended(bench, run.id)).status is ReconciliationStatus.SUCCESS


def test_the_worker_goes_and_its_process_with_it() -> None:
    """Also where the pipe stays open, by another who holds it."""
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'app.services.comparison_process'], stdin=0)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    reading, writing = os.pipe()
    worker = subprocess.Popen([sys.executable, "-c", script], stdin=reading, stdout=subprocess.PIPE)
    try:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        _until(lambda: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 500)
        assert _nice(pid) == 10
        worker.kill()
        worker.wait()
        _until(lambda: gone(pid))
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()
        os.close(reading)
        os.close(writing)


def _nice(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_memory_beyond_the_limit_is_an_error_and_no_kill():
    script = (
        "from app.services.process_limits import limit_memory\n"
        "limit_memory(200 * 2**20)\n"
        "bytearray(100 * 2**20)\n"
        "try:\n    bytearray(200 * 2**20)\nexcept MemoryError:\n    print('refused')\n"
    )
    assert subprocess.check_output([sys.executable, "-c", script]) == b"refused\n"


def test_want_of_memory_is_told_with_what_to_do(tmp_path, monkeypatch):
    def compare(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(comparison_process, "compare", compare)
    (tmp_path / "a.csv").write_text("a\n1\n")
    request = ComparisonRequest.from_line(orjson.dumps({
        "left": {"name": "l", "path": str(tmp_path / "a.csv"), "delimiter": ","},
        "right": {"name": "r", "path": str(tmp_path / "a.csv"), "delimiter": ","},
        "mapping": [{"left": "a", "right": "a", "key": False}],
        "options": {"method": None, "pass_when": {}}, "thresholds": {}, "spill_dir": str(tmp_path),
        "differences_path": str(tmp_path / "d.csv"), "memory_limit_bytes": None, "sample_limit": 100,
    }))  # fmt: skip
    news = comparison_process.run(request, cancelled=asyncio.Event())  # type: ignore[arg-type]
    assert news["error"]["code"] == "OUT_OF_MEMORY"
    assert "memory_limit" in news["error"]["message"]


@pytest.mark.parametrize(
    ("rows", "text"),
    [pytest.param(100_000, "x" * 900, id="long rows"), pytest.param(1_800_000, "", id="short rows")],
)
def test_large_sides_are_compared_within_the_least_memory_that_may_be_set(tmp_path, rows, text):
    for name, factor in (("left", 7), ("right", 11)):
        with (tmp_path / f"{name}.csv").open("w") as file:
            file.write("id,text\n")
            file.writelines(f"{n * factor % rows},{text}{n * factor % 10}\n" for n in range(rows))
    request = {
        **{side: {"name": side, "path": f"{tmp_path}/{side}.csv", "delimiter": ","} for side in ("left", "right")},
        "mapping": [{"left": name, "right": name, "key": name == "id"} for name in ("id", "text")],
        "options": {"method": None, "pass_when": {}}, "thresholds": {}, "spill_dir": str(tmp_path),
        "differences_path": str(tmp_path / "d.csv"), "memory_limit_bytes": 256 << 20, "sample_limit": 100,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", comparison_process.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(orjson.dumps(request) + b"\n")
        process.stdin.flush()
        *_, last = process.stdout
    assert orjson.loads(last)["result"]["common_row_count"] == rows


def test_samples_are_cut_to_what_a_row_of_the_database_may_hold():
    rows = [{"left": ["x" * 1000]} for _ in range(100)]
    kept = comparison_process.samples_within({"CHANGED": rows, "LEFT_ONLY": rows[:2]}, 20_000)
    assert {kind: len(some) for kind, some in kept.items()} == {"CHANGED": 9, "LEFT_ONLY": 2}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("app.services.comparison_process", {"numpy", "llvmlite", "duckdb", "sqlalchemy", "pydantic", "asyncio"}),
        ("workers.main", {"numpy", "llvmlite"}),
    ],
)
def test_nothing_is_imported_that_is_not_needed_at_once(module, heavy):
    """A small comparison takes a tenth of a second, most of it for imports; a worker never needs the kernels."""
    script = f"import {module}, sys; print(*sys.modules)"
    assert heavy.isdisjoint(subprocess.check_output([sys.executable, "-c", script], text=True).split())


async def test_hours_of_progress_are_told_by_no_more_events_than_minutes(monkeypatch):
    monkeypatch.setattr(comparer, "REPORT_INTERVAL", 0.0)
    news = asyncio.StreamReader()
    for share in range(100_000):
        news.feed_data(orjson.dumps({"progress": share / 100_000}) + b"\n")
    news.feed_data(b'{"result": {}}\n')
    news.feed_eof()
    told: list[float] = []

    async def report(share: float) -> None:
        told.append(share)

    assert await comparer._listen(news, report) == {"result": {}}
    assert told == sorted(told)
    assert 200 <= len(told) <= 1 / comparer.REPORT_STEP + 1


async def test_it_is_told_once_that_native_code_is_compiled_first():
    news = asyncio.StreamReader()
    for piece in (b'{"compiling": 0.0}', b'{"compiling": 1.0}', b'{"progress": 0.5}', b'{"result": {}}'):
        news.feed_data(piece + b"\n")
    news.feed_eof()
    told: list[float] = []

    async def report(share: float) -> None:
        told.append(share)

    with capture_logs() as logs:
        assert await comparer._listen(news, report) == {"result": {}}
    assert [entry["event"] for entry in logs] == ["comparison.compiling"]
    assert told == [0.5]


def test_compiled_kernels_are_kept_where_they_may_be_written(tmp_path, monkeypatch):
    assert VARIABLE not in environment({"PATH": "/bin"}, spill_dir=tmp_path)
    monkeypatch.setattr(comparer.os, "access", lambda *_: False)
    assert environment({}, spill_dir=tmp_path) == {VARIABLE: str(tmp_path / "kernels")}
    assert environment({VARIABLE: "/own"}, spill_dir=tmp_path) == {VARIABLE: "/own"}

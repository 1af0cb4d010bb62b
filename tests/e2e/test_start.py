"""`data-phantom start`: the demo in one command, a folder that is used again, and an end that leaves nothing behind."""

import asyncio
import fcntl
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.platform import PROGRAM, Platform, plain_environment
from tests.support.processes import Reaper, free_port

TASKS = 11
ONCE_SECONDS = 90  # on a busy machine; a few on a quiet one
STOP_SECONDS = 15
INTERRUPTED = 130


def start_once(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            PROGRAM,
            "start",
            "--once",
            "--data-dir",
            str(folder),
            "--port",
            str(free_port()),
            "--health-port",
            str(free_port()),
            *arguments,
        ],
        env={**plain_environment(), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=ONCE_SECONDS,
        check=False,
    )


def children_of(pid: int) -> set[int]:
    """A process and all that it has begotten, as far as they have not been left to others."""
    found = {pid}
    while True:
        more = {int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) in found} - found
        if not more:
            return found
        found |= more


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return None


def alive(pids: set[int]) -> dict[int, str]:
    """Those that still run, with their command lines."""
    found = {}
    for pid in pids:
        try:
            found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return {pid: command for pid, command in found.items() if command}  # a zombie has no command line


def redis_folder(pids: set[int]) -> Path:
    """Where the embedded Redis among these processes has its socket."""
    (address,) = re.findall(r"unixsocket:(\S+)", " ".join(alive(pids).values()))
    return Path(address).parent


@pytest.fixture
def platform(tmp_path: Path, reaper: Reaper) -> Iterator[Platform]:
    platform = Platform(folder=tmp_path, database_url="", redis_url="", reaper=reaper)
    yield platform
    platform.stop()


def test_the_demo_runs_in_a_fresh_folder_and_again_in_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = start_once(folder)
    assert first.returncode == 0, first.stdout + first.stderr
    assert len(re.findall(r"password \S{12,}", first.stdout)) == 1
    assert len(re.findall(r"^  ✓ ", first.stdout, re.MULTILINE)) == TASKS
    assert f"Run 1: SUCCESS, {TASKS} of {TASKS} tasks succeeded" in first.stdout
    assert re.search(r"They differ: [\d,]+ of [\d,]+ rows", first.stdout)
    assert re.search(r"average_delay differs in [\d,]+ rows, by at most", first.stdout)
    assert "Traceback" not in first.stdout + first.stderr

    again = start_once(folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "password" not in again.stdout
    assert f"Run 2: SUCCESS, {TASKS} of {TASKS} tasks succeeded" in again.stdout
    same = r"They differ: [\d,]+ of [\d,]+ rows"
    assert re.findall(same, again.stdout) == re.findall(same, first.stdout)


@pytest.mark.parametrize(("number", "options"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--no-demo",))])
async def test_a_signal_stops_everything_and_leaves_no_child_behind(
    platform: Platform, number: signal.Signals, options: tuple[str, ...]
) -> None:
    process = platform.start_embedded(*options)
    await platform.until_log(process, "Ctrl-C stops everything.", seconds=ONCE_SECONDS)
    family = children_of(process.pid)
    folder = redis_folder(family)
    process.send_signal(number)
    assert process.wait(STOP_SECONDS) == 0
    assert alive(family) == {}
    assert not folder.exists()
    log = platform.log_of(process)
    assert "Stopping" in log
    assert "Traceback" not in log
    assert "Error" not in log


async def test_a_signal_during_the_demo_stops_as_cleanly(platform: Platform) -> None:
    process = platform.start_embedded("--once")
    await platform.until_log(process, "run 1", seconds=ONCE_SECONDS)
    family = children_of(process.pid)
    folder = redis_folder(family)
    process.send_signal(signal.SIGTERM)
    assert process.wait(STOP_SECONDS) == INTERRUPTED
    assert alive(family) == {}
    assert not folder.exists()
    assert "Traceback" not in platform.log_of(process)


async def test_a_killed_process_leaves_no_child_behind(platform: Platform) -> None:
    process = platform.start_embedded()
    await platform.until_log(process, "Ctrl-C stops everything.", seconds=ONCE_SECONDS)
    family = children_of(process.pid) - {process.pid}
    process.kill()
    process.wait()
    async with asyncio.timeout(STOP_SECONDS):
        while alive(family):  # noqa: ASYNC110 - nothing tells of another's end
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("option", ["--port", "--health-port"])
def test_a_taken_port_is_told_in_a_sentence(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start_once(tmp_path / "data", "--no-demo", option, str(port))
    assert done.returncode == 1
    assert (
        done.stderr.strip() == f"Port {port} on 127.0.0.1 is taken by another program: stop it, or choose another port."
    )
    assert "Traceback" not in done.stdout


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = start_once(tmp_path / "file" / "data", "--no-demo")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file") in done.stderr


@pytest.mark.parametrize("part", ["serve", "migrate"])
def test_a_database_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path, part: str) -> None:
    url = f"mariadb+asyncmy://ada:lovelace@127.0.0.1:{free_port()}/phantom"
    platform = Platform(folder=tmp_path, database_url=url, redis_url="redis://127.0.0.1:9/0")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        platform.run(part)
    assert failed.value.returncode == 1
    assert "Check that it runs, and url, user and password of meta_store." in failed.value.stderr
    for secret in ("Traceback", "lovelace"):
        assert secret not in failed.value.stderr


def test_a_second_start_on_the_same_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with (tmp_path / "start.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = subprocess.run(
            [
                PROGRAM,
                "start",
                "--once",
                "--no-demo",
                "--data-dir",
                str(tmp_path),
                "--port",
                str(free_port()),
                "--health-port",
                str(free_port()),
            ],
            env=plain_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "Another start is running on" in ended.stderr
    assert "Traceback" not in ended.stderr

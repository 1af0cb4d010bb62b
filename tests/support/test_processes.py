"""Nothing that the tests start survives them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import ManagedProcess, ProcessError, Reaper, free_port

_PARENT_AND_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def family(tmp_path: Path, reaper: Reaper):
    process = ManagedProcess([sys.executable, "-c", _PARENT_AND_CHILD], log=tmp_path / "log", reaper=reaper)
    process.start()
    wait_until(lambda: process.log_text().strip())
    yield process
    process.kill()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_children_go_with_their_parent(family: ManagedProcess, end: str):
    child = int(family.log_text())

    getattr(family, end)()

    assert not family.running
    wait_until(lambda: not alive(child))


def test_a_process_is_started_again_after_its_end(family: ManagedProcess):
    first = family.pid
    family.kill()
    family.start()

    assert family.running
    assert family.pid != first


def test_one_that_ignores_the_request_to_end_is_killed(tmp_path: Path, reaper: Reaper):
    script = (
        "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    process = ManagedProcess([sys.executable, "-c", script], log=tmp_path / "log", reaper=reaper)
    process.start()
    wait_until(lambda: "deaf" in process.log_text())

    assert process.stop(timeout=0.2) == -signal.SIGKILL


def test_one_that_ends_too_early_is_told_with_its_last_words(tmp_path: Path, reaper: Reaper):
    process = ManagedProcess([sys.executable, "-c", "exit('no room')"], log=tmp_path / "log", reaper=reaper)
    process.start()

    with pytest.raises(ProcessError, match=r"ended before port [\s\S]*no room"):
        process.wait_for_port(free_port())
    assert process.stop() == 1


def test_a_killed_test_run_leaves_nothing_behind(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    script = f"""
import sys, time
from pathlib import Path
from tests.support.processes import ManagedProcess, Reaper
reaper = Reaper()
reaper.remove_at_end(Path({str(folder)!r}))
log = Path({str(tmp_path / "log")!r})
process = ManagedProcess([sys.executable, "-c", {_PARENT_AND_CHILD!r}], log=log, reaper=reaper)
process.start()
print(process.pid, flush=True)
time.sleep(600)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env) as run:
        assert run.stdout
        parent = int(run.stdout.readline())
        wait_until(lambda: (tmp_path / "log").read_text().strip())
        child = int((tmp_path / "log").read_text())

        run.kill()

        wait_until(lambda: not alive(parent) and not alive(child) and not folder.exists())

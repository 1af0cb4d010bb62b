"""`data-phantom reconcile` as a process of its own: what a shell, a pipe and a keyboard do with it."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.support.platform import PROGRAM

MUCH = 32768  # bytes of the 65536 that a pipe takes


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, "reconcile", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
        # What a shell starts in the background ignores SIGINT, and so does all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread of ours forks here
    )


def test_a_reader_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("id,n\n" + "".join(f"{n},{n}\n" for n in range(50)))
    (tmp_path / "r.csv").write_text("id;n\n" + "".join(f"{n};{n + 1}\n" for n in range(50)))
    with start("l.csv", "r.csv", "-k", "id", "--json", folder=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_standard_output_may_be_poor_full_or_closed(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("id\nä\n")
    for how, status in (("PYTHONIOENCODING=ascii {}", 1), ("{} > /dev/full", 2), ("{} >&-", 1), ("cat l.csv | {}", 1)):
        command = how.format(f"{PROGRAM} reconcile {'-' if 'cat' in how else 'l.csv'} r.csv")
        (tmp_path / "r.csv").write_text("id\nö\n")
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert done.stderr in {"", "Error: Standard output cannot be written (No space left on device).\n"}


def test_ctrl_c_ends_also_a_comparison_that_sees_no_wish_to_stop(tmp_path: Path) -> None:
    """The comparison's thread hangs in a write that nobody reads."""
    (tmp_path / "l.csv").write_text("id,n\n" + "".join(f"{n},left\n" for n in range(9000)))
    (tmp_path / "r.csv").write_text("id,n\n" + "".join(f"{n},right\n" for n in range(9000)))
    os.mkfifo(tmp_path / "out")
    reader = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
    with start("l.csv", "r.csv", "-k", "id", "--differences", "out", "--report", "r.html", folder=tmp_path) as process:
        until = time.monotonic() + 60
        while _waiting(reader) < MUCH and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            out, told = process.communicate(timeout=30)
        finally:
            process.kill()  # or leaving the block would wait for it
    os.close(reader)
    assert (process.returncode, out, told) == (130, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {"l.csv", "r.csv", "out"}


def test_the_command_starts_without_the_platform() -> None:
    heavy = ("strawberry", "sqlalchemy", "duckdb", "boto3", "numba", "starlette", "redis")
    program = f"import sys, app.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _waiting(pipe: int) -> int:
    """Bytes that were written and not read yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)

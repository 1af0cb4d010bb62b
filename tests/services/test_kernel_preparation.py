"""A worker has the native code of comparisons made beside its work, where the machine has none."""

import asyncio
import os
import sys

import pytest

from app.domain.reconciliation.kernels.cache import ASIDE, VARIABLE
from app.services import kernel_preparation
from app.services.kernel_preparation import kernels_prepared

# Tells of itself, then waits for its input's end, as `build` does where it waits for another one.
BUILD = """
import os, sys
with open(sys.argv[1], 'w') as told:
    told.write(f'{os.getpid()} {sys.argv[2]}')
sys.stdin.read()
"""


async def test_where_there_is_none_it_is_begun_and_given_up_with_the_worker(tmp_path, monkeypatch):
    told = tmp_path / "told"
    os.mkfifo(told)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(kernel_preparation, "BUILD", (sys.executable, "-c", BUILD, str(told)))
    async with asyncio.timeout(20), kernels_prepared(spill_dir=tmp_path):
        pid, how = (await asyncio.to_thread(told.read_text)).split()
        os.kill(int(pid), 0)
        assert how == ASIDE
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


async def test_where_there_is_some_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_preparation, "is_filled", lambda: True)
    monkeypatch.setattr(kernel_preparation, "BUILD", (str(tmp_path / "nothing to run"),))
    async with kernels_prepared(spill_dir=tmp_path):
        pass

"""Native code is compiled once for a machine, by a process of its own, and then loaded."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest

from app.domain.errors import UnavailableError
from app.domain.reconciliation.kernels import build, cache, library
from app.domain.reconciliation.kernels.library import Library, object_path
from app.domain.reconciliation.kernels.memory import (
    PADDING_BYTES,
    address_of,
    byte_at,
    find_either,
    put_byte,
    put_word,
    trailing_zeros,
    word_at,
)

COMPILER = "app.domain.reconciliation.kernels.compiler"


@pytest.fixture
def compiled(monkeypatch):
    """How often it was compiled; in the compiler's place."""
    times: list[int] = []

    def object_code() -> bytes:
        times.append(1)
        time.sleep(0.05)  # so that the other one comes meanwhile
        return b"code"

    stand_in = ModuleType(COMPILER)
    stand_in.object_code = object_code  # type: ignore[attr-defined] # of a stand-in
    monkeypatch.setitem(sys.modules, COMPILER, stand_in)
    return times


def test_of_several_that_find_nothing_one_compiles(tmp_path, compiled):
    path = tmp_path / "kernels-1" / "processor.o"
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(build.build, [path] * 3))
    assert len(compiled) == 1
    assert path.read_bytes() == b"code"
    assert {file.name for file in path.parent.iterdir()} == {"processor.o", "lock"}


@pytest.mark.usefixtures("compiled")
def test_a_compilation_that_fails_leaves_nothing_for_code(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: os.write(-1, b""))
    with pytest.raises(OSError, match="Bad file descriptor"):
        build.build(tmp_path / "processor.o")
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


@pytest.mark.usefixtures("compiled")
def test_what_nobody_has_used_for_weeks_goes_with_the_next_compilation(tmp_path):
    for name, days in (("kernels-old", 40), ("kernels-used", 10), ("other", 40)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, times=(0, time.time() - days * 86_400))
    build.build(tmp_path / "kernels-new" / "processor.o")
    assert {folder.name for folder in tmp_path.iterdir()} == {"kernels-new", "kernels-used", "other"}


def test_the_cache_is_another_one_where_a_source_is_another(tmp_path, monkeypatch):
    before = cache.cache_folder()
    source = tmp_path / "source.py"
    source.write_text("x = 1")
    sources = [*cache._sources(), source]
    monkeypatch.setattr(cache, "_sources", lambda: sources)
    after = cache.cache_folder()
    source.write_text("x = 2")
    assert len({before, after, cache.cache_folder()}) == 3


def test_what_goes_wrong_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(cache, "BUILD", (sys.executable, "-c", "raise SystemExit('No space left')"))
    with pytest.raises(UnavailableError, match=rf"No space left.*{cache.VARIABLE}"):
        cache.compile_apart()


def test_who_waits_hears_of_it_and_gets_the_code(tmp_path, monkeypatch):
    code, path = object_path(), tmp_path / "processor.o"
    Library().load()
    heard: list[float | str] = []

    def compile_apart() -> None:
        heard.append("compiled")
        path.write_bytes(code.read_bytes())

    monkeypatch.setattr(library, "object_path", lambda: path)
    monkeypatch.setattr(library, "compile_apart", compile_apart)
    loaded = Library()
    loaded.load(heard.append)
    loaded.load(heard.append)
    assert heard == [0.0, "compiled", 1.0]
    assert loaded.address("scanning.scan") != loaded.address("scanning.pick")
    with pytest.raises(AssertionError):
        loaded.address("scanning.nothing")


def test_threads_that_call_at_once_load_the_code_once(monkeypatch):
    linked, times = library._linked, []

    def slowly(code: bytes) -> object:
        times.append(1)
        time.sleep(0.02)
        return linked(code)

    monkeypatch.setattr(library, "_linked", slowly)
    loaded = Library()
    together = threading.Barrier(4)

    def address(_: int) -> int:
        together.wait()
        return loaded.address("scanning.scan")

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(address, range(4)))) == 1
    assert len(times) == 1


def test_the_compiling_process_ends_with_its_input():
    waits = "import threading\nfrom app.domain.reconciliation.kernels import build\nbuild.build = lambda _: "
    waits += "(print('ready', flush=True), threading.Event().wait())\nbuild.main()"
    process = subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        assert process.wait(timeout=10) == 1
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_kernel_takes_no_keywords():
    with pytest.raises(TypeError, match="keywords"):
        find_either(place=0, one=1, other=2)


def test_what_reads_and_writes_at_an_address_is_its_own_definition():
    text = np.frombuffer(bytearray(b"abcdefgh" + bytes(PADDING_BYTES)), np.uint8)
    start = address_of(text)
    assert word_at(start) == text.view(np.uint64)[0]
    put_byte(start + 1, 0x141)
    assert byte_at(start + 1) == 0x41
    put_word(start + 3, np.uint64(2**64 - 1))
    assert bytes(text[:12]) == b"aAc" + b"\xff" * 8 + b"\0"
    assert [trailing_zeros(np.uint64(word)) for word in (0, 1, 8, 2**63)] == [64, 0, 3, 63]

"""The two files of a comparison: the outputs themselves where they can be read as they are, else copies."""

import asyncio
from pathlib import Path

import pytest

from app.domain.errors import NotFoundError
from app.domain.outputs import OutputFormat, StoredOutput
from app.models import TaskRun
from app.outputs.local import LocalOutputStore
from app.services.comparison_sides import ComparisonSides, ComparisonStoppedError
from tests.outputs.stored_files import files, written


@pytest.fixture
def store(tmp_path: Path) -> LocalOutputStore:
    return LocalOutputStore(root=tmp_path)


class Watched(ComparisonSides):
    """Keeps what is told."""

    def __init__(self, store: LocalOutputStore) -> None:
        self.stop, self.told = asyncio.Event(), []
        super().__init__(outputs=store, stop=self.stop, tell=self._keep)

    async def _keep(self, message: str) -> None:
        self.told.append(message)


def task_run(stored: StoredOutput) -> TaskRun:
    return TaskRun(
        name="a",
        output_location=stored.location,
        output_format=stored.format,
        output_delimiter=stored.delimiter,
    )


async def test_csv_in_a_folder_is_read_where_it_lies(store):
    stored = await written(store, [(1, "a")])
    sides = Watched(store)
    async with sides.file("left", task_run(stored)) as file:
        assert Path(file.path) == store.local_path(stored.location)
    assert sides.told == []


async def test_parquet_is_converted_to_a_copy_that_is_told_of_and_gone_after(store, tmp_path):
    stored = await written(store, [(1, "a")], format=OutputFormat.PARQUET)
    sides = Watched(store)
    async with sides.file("right", task_run(stored)) as file:
        assert await asyncio.to_thread(Path(file.path).read_bytes) == b'id,"na,me"\n1,a\n'
    assert len(sides.told) == 1
    assert "The right output is copied" in sides.told[0]
    assert [path.name for path in files(tmp_path)] == ["output.parquet"]


async def test_a_comparison_that_nobody_wants_any_more_copies_nothing(store):
    stored = await written(store, [(1, "a")], format=OutputFormat.PARQUET)
    sides = Watched(store)
    sides.stop.set()
    with pytest.raises(ComparisonStoppedError):
        async with sides.file("left", task_run(stored)):
            pass


async def test_a_side_without_an_output_is_told(store):
    with pytest.raises(NotFoundError, match="left"):
        async with Watched(store).file("left", TaskRun(name="a")):
            pass

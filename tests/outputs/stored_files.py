"""Short ways to write into a local store and to look at what is in it."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from app.domain.outputs import OutputColumn
from app.outputs.local import LocalOutputStore

PLAYGROUND, RUN, TASK = (UUID(int=number) for number in (1, 2, 3))
COLUMNS = (OutputColumn(name="id", type="INT"), OutputColumn(name="na,me", type="VARCHAR"))


def new_sink(store: LocalOutputStore, *, attempt: int = 1, delimiter: str = ","):
    return store.sink(
        started_at=datetime(2026, 1, 5, 23, 30, tzinfo=UTC),
        playground_id=PLAYGROUND,
        run_id=RUN,
        task_run_id=TASK,
        attempt=attempt,
        delimiter=delimiter,
    )


async def batches(*all_of_them):
    for batch in all_of_them:
        yield batch


async def written(store: LocalOutputStore, *all_of_them, columns=COLUMNS, **kwargs):
    async with new_sink(store, **kwargs) as sink:
        await sink.write_rows(columns, batches(*all_of_them))
    return sink.stored


async def content(store: LocalOutputStore, location: str, **kwargs) -> bytes:
    return b"".join([piece async for piece in store.open(location, **kwargs)])


def files(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]

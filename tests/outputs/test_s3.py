"""The store on S3: parts, faults in mid-write, ranged reading, links, and what is told when it is away."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.aws.bucket import Bucket
from app.aws.clients import AwsClients
from app.aws.errors import TransientAwsError
from app.aws.upload import PART_BYTES, part_bytes
from app.domain.outputs import OutputFormat
from app.outputs.base import StorageError
from app.outputs.s3 import S3OutputStore
from tests.outputs.stored_files import COLUMNS, Heard, batches, content, new_sink, written
from tests.support.moto import account_at
from tests.support.processes import free_port

MANY = [(number, "x" * 1_000) for number in range(20_000)]


class Asked:
    """Records the operations that clients are asked for, and fails some of them."""

    def __init__(self, clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operations: list[str] = []
        self.ranges: list[str] = []
        self.failing: dict[str, Exception] = {}
        self._ask = clients.ask
        monkeypatch.setattr(clients, "ask", self.ask)

    def ask(self, service: str, operation: str, **arguments: Any) -> Any:
        self.operations.append(operation)
        self.ranges += [arguments["Range"]] if "Range" in arguments else []
        if operation in self.failing:
            raise self.failing[operation]
        return self._ask(service, operation, **arguments)


@pytest.fixture
def asked(clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(clients, monkeypatch)


async def uploads(bucket: Bucket) -> int:
    return len((await bucket._call("list_multipart_uploads")).get("Uploads", ()))


async def test_a_small_output_is_one_request_and_a_large_one_is_sent_in_parts(s3_store, asked):
    await written(s3_store, [(1, "a")])
    assert asked.operations == ["put_object"]
    asked.operations.clear()
    stored = await written(s3_store, MANY)
    assert asked.operations.count("upload_part") == -(-stored.size_bytes // PART_BYTES) == 3


def test_parts_grow_so_that_ten_thousand_hold_a_terabyte():
    sizes = [part_bytes(number) for number in range(1, 10_001)]
    assert sizes[0] == PART_BYTES
    assert sizes == sorted(sizes)
    assert sum(sizes) > 2**40
    assert sizes[-1] <= 5 * 2**30, "S3 takes no larger part"


@pytest.mark.parametrize(
    "operation", ["put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload"]
)
async def test_throttling_in_mid_write_is_told_as_worth_another_try_and_leaves_nothing(
    s3_store, bucket, asked, operation
):
    asked.failing[operation] = TransientAwsError("Please reduce your request rate.", code="SlowDown")
    with pytest.raises(StorageError, match="reduce your request rate") as raised:
        await written(s3_store, [(1, "a")] if operation == "put_object" else MANY)
    assert raised.value.retriable
    asked.failing.clear()
    assert await uploads(bucket) == 0
    assert [found async for found in bucket.objects("")] == []


async def test_a_completion_whose_answer_was_lost_has_succeeded(s3_store, clients, monkeypatch):
    answer = clients.ask

    def loses(service: str, operation: str, **arguments: Any) -> Any:
        if operation == "complete_multipart_upload":
            answer(service, operation, **arguments)  # botocore asks again when it hears nothing
        return answer(service, operation, **arguments)

    monkeypatch.setattr(clients, "ask", loses)
    stored = await written(s3_store, MANY)
    assert await s3_store.size(stored.location) == stored.size_bytes


async def test_a_task_that_is_cancelled_while_a_part_is_sent_aborts_its_upload(s3_store, bucket, clients, monkeypatch):
    sending, answer = asyncio.Event(), clients.ask
    loop = asyncio.get_running_loop()

    def tells(service: str, operation: str, **arguments: Any) -> Any:
        if operation == "upload_part":
            loop.call_soon_threadsafe(sending.set)
        return answer(service, operation, **arguments)

    monkeypatch.setattr(clients, "ask", tells)
    task = asyncio.create_task(written(s3_store, MANY))
    await sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await uploads(bucket) == 0


async def test_what_killed_processes_left_is_discarded(s3_store, bucket):
    upload = bucket.upload("team/outputs/left/behind.csv")
    beside = bucket.upload("another/thing")
    for each in (upload, beside):
        await each.write(b"x" * (PART_BYTES + 1))
        await each._sent()
    assert await s3_store.discard_partial(older_than=timedelta(hours=1)) == 1
    assert await uploads(bucket) == 1, "what is not the store's is left alone"


async def test_a_preview_reads_no_more_than_its_lines_need(s3_store, asked):
    stored = await written(s3_store, MANY)
    await s3_store.preview(stored.location, format=OutputFormat.CSV, delimiter=",", limit=10)
    assert asked.ranges == ["bytes=0-65535"]
    asked.ranges.clear()
    table = await s3_store.preview(stored.location, format=OutputFormat.CSV, delimiter=",", limit=1_000)
    assert len(table.rows) == 1_000
    assert len(asked.ranges) < 6


async def test_a_preview_of_parquet_reads_its_end_and_its_first_rows_alone(s3_store, asked):
    rows = [(number, f"{hash(str(number)):x}") for number in range(100_000)]
    stored = await written(s3_store, rows, format=OutputFormat.PARQUET)
    asked.ranges.clear()
    await s3_store.preview(stored.location, format=stored.format, delimiter=",", limit=10)
    spans = [tuple(map(int, asked_range[6:].split("-"))) for asked_range in asked.ranges]
    assert len(spans) == 2
    assert sum(end - start for start, end in spans) < stored.size_bytes / 2


async def test_a_preview_shows_no_more_lines_than_the_settings_permit(clients, bucket, tmp_path):
    store = S3OutputStore(clients=clients, bucket=bucket, prefix="", scratch=tmp_path, preview_rows=3)
    stored = await written(store, [(number, "a") for number in range(5)])
    table = await store.preview(stored.location, format=OutputFormat.CSV, delimiter=",", limit=100)
    assert (len(table.rows), table.truncated) == (3, True)


async def test_large_objects_are_read_by_ranges_of_one_version(s3_store, asked):
    stored = await written(s3_store, MANY)
    assert len(await content(s3_store, stored.location)) == stored.size_bytes
    assert asked.ranges[:2] == ["bytes=0-4194303", "bytes=4194304-8388607"]
    pieces = s3_store.open(stored.location)
    await anext(pieces)
    await written(s3_store, MANY[::-1])
    with pytest.raises(StorageError):
        await anext(pieces)


async def test_a_link_gives_the_file_by_its_name_without_credentials(clients, bucket, tmp_path):
    store = S3OutputStore(clients=clients, bucket=bucket, prefix="p", scratch=tmp_path, links=True)
    stored = await written(store, [(1, "a")])
    url = await store.link(
        stored.location, filename="é.csv", media_type="text/csv; charset=utf-8", lifetime=timedelta(minutes=5)
    )
    async with httpx.AsyncClient() as client:
        response = await client.get(url)
    assert response.content == b'id,"na,me"\n1,a\n'
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A9.csv"


async def test_without_the_setting_there_are_no_links(s3_store):
    stored = await written(s3_store, [(1, "a")])
    assert await s3_store.link(stored.location, filename="x", media_type="text/csv", lifetime=timedelta(1)) is None


async def test_clusters_are_told_the_objects_name(s3_store):
    assert s3_store.uri("a/b.jar") == "s3://results/team/outputs/a/b.jar"


@asynccontextmanager
async def store_that_is_away(folder: Path):
    clients = AwsClients(account=account_at(f"http://127.0.0.1:{free_port()}"), max_attempts=1)
    try:
        yield S3OutputStore(clients=clients, bucket=Bucket(clients=clients, name="results"), prefix="p", scratch=folder)
    finally:
        await clients.close()


async def test_a_store_that_is_away_says_so_at_every_door(tmp_path):
    async with store_that_is_away(tmp_path) as store:
        for door in (
            written(store, [(1, "a")]),
            written(store, [(1, "a")], format=OutputFormat.PARQUET),
            content(store, "a/b.csv"),
            store.size("a/b.csv"),
            store.preview("a/b.csv", format=OutputFormat.CSV, delimiter=",", limit=1),
            store.delete("a"),
            store.discard_partial(older_than=timedelta()),
        ):
            with pytest.raises(StorageError, match="away") as raised:
                await door
            assert raised.value.retriable
        assert "cannot be used" in (await store.problem() or "")


async def test_a_bucket_that_is_not_there_is_a_problem_told_by_its_name(clients, tmp_path):
    store = S3OutputStore(
        clients=clients, bucket=Bucket(clients=clients, name="no-such-bucket"), prefix="p", scratch=tmp_path
    )
    assert "s3://no-such-bucket/p" in (await store.problem() or "")
    with pytest.raises(StorageError, match="refused") as raised:
        await written(store, [(1, "a")])
    assert not raised.value.retriable


async def test_a_bucket_that_is_there_is_no_problem(s3_store):
    assert await s3_store.problem() is None


async def test_a_copy_that_finds_no_room_is_refused_before_it_begins(s3_store, monkeypatch):
    stored = await written(s3_store, [(1, "a")])
    monkeypatch.setattr("app.outputs.scratch.shutil.disk_usage", lambda _: _Full())
    with pytest.raises(StorageError, match="no room"):
        async with s3_store.csv_file(stored.location, format=stored.format, delimiter=",", copying=Heard()):
            pass


class _Full:
    free = 1


async def test_writing_much_holds_little(s3_store):
    async with new_sink(s3_store) as sink:
        await sink.write_rows(COLUMNS, batches(*[MANY[:1_000]] * 40))
        assert len(sink._target._gathered) <= PART_BYTES + 2**21
    assert sink.stored.size_bytes > 4 * PART_BYTES

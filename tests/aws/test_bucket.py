"""A bucket: listed by pages, read by ranges, and the parts of a Spark job put together."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from app.aws.bucket import Bucket, is_missing
from app.aws.clients import AwsClients
from app.aws.errors import TerminalAwsError, TransientAwsError
from app.aws.spark_parts import part_objects, part_pieces
from tests.support.moto import account_at


@pytest.fixture
async def bucket(moto: str) -> AsyncIterator[Bucket]:
    clients = AwsClients(account=account_at(moto), max_attempts=1)
    await clients.call("s3", "create_bucket", Bucket="results")
    yield Bucket(clients=clients, name="results", keys_per_request=2)
    await clients.close()


async def put(bucket: Bucket, **objects: bytes) -> None:
    for key, data in objects.items():
        await bucket.upload(key.replace("__", "/")).finish(data)


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def test_listing_goes_through_all_pages_in_the_order_of_keys(bucket):
    await put(bucket, d__1=b"a", d__3=b"ccc", d__2=b"bb", d__4=b"", d__5=b"x", e=b"y")
    found = [(each.key, each.size_bytes) async for each in bucket.objects("d/")]
    assert found == [("d/1", 1), ("d/2", 2), ("d/3", 3), ("d/4", 0), ("d/5", 1)]


async def test_objects_are_read_by_ranges_whose_pieces_fit_together(bucket):
    await put(bucket, a=b"0123456789")
    assert [piece async for piece in bucket.pieces("a", piece_bytes=4)] == [b"0123", b"4567", b"89"]
    assert [piece async for piece in bucket.pieces("a", offset=3, length=5, piece_bytes=4)] == [b"3456", b"7"]
    assert [piece async for piece in bucket.pieces("a", offset=10)] == []


async def test_a_body_that_breaks_off_is_read_again(bucket, monkeypatch):
    await put(bucket, a=b"0123456789")
    ask, broken = bucket._clients.ask, []

    def breaks(service: str, operation: str, **arguments):
        answer = ask(service, operation, **arguments)
        if len(broken) < 2:
            broken.append(True)
            answer["Body"]._amount_read = -1  # what botocore compares with the announced length at the end
        return answer

    monkeypatch.setattr(bucket._clients, "ask", breaks)
    assert await joined(bucket.pieces("a")) == b"0123456789"
    broken[:] = []
    monkeypatch.setattr("app.aws.bucket._READ_TRIES", 2)
    with pytest.raises(TransientAwsError):
        await joined(bucket.pieces("a"))


async def test_what_is_not_there_is_told_as_missing(bucket):
    for call in (bucket.facts("none"), joined(bucket.pieces("none"))):
        with pytest.raises(TerminalAwsError) as raised:
            await call
        assert is_missing(raised.value)


async def test_an_object_is_deleted_with_what_lies_below_it(bucket):
    await put(bucket, a=b"x", a__1=b"x", a__2__3=b"x", a__4=b"x", ab=b"x")
    await bucket.delete("a")
    assert [each.key async for each in bucket.objects("")] == ["ab"]


async def test_the_uploads_of_others_are_left_alone(bucket):
    upload = bucket.upload("mine/x")
    await upload._begin()
    assert await bucket.abort_uploads("other/", before=datetime.now(UTC)) == 0
    assert await bucket.abort_uploads("mine/", before=datetime.now(UTC)) == 1


# ---- the parts of one table


async def test_parts_become_one_text_in_their_order(bucket):
    await bucket.upload("out/part-00010-u-c000.csv").finish(b"10\n")
    await bucket.upload("out/part-00002-u-c000.csv").finish(b"2")
    await bucket.upload("out/part-00000-u-c000.csv").finish(b"0\n0\n")
    await bucket.upload("out/part-00001-u-c000.csv").finish(b"")
    await bucket.upload("out/part-100000-u-c000.csv").finish(b"last\n")
    await bucket.upload("out/.part-00000.crc").finish(b"no part")
    await bucket.upload("out/below/part-00003.csv").finish(b"not of this table\n")
    await bucket.upload("outside/part-00000.csv").finish(b"nor this\n")
    await bucket.upload("out/_SUCCESS").finish()
    assert await joined(part_pieces(bucket, "out")) == b"0\n0\n2\n10\nlast\n"
    assert await joined(part_pieces(bucket, "out/")) == b"0\n0\n2\n10\nlast\n"


async def test_a_folder_without_its_mark_is_not_complete(bucket):
    await bucket.upload("out/part-00000.csv").finish(b"1\n")
    with pytest.raises(TerminalAwsError, match="_SUCCESS"):
        await part_objects(bucket, "out")
    assert await joined(part_pieces(bucket, "out", marked=False)) == b"1\n"


async def test_the_files_of_hive_are_parts_too(bucket):
    await bucket.upload("out/000001_0").finish(b"b\n")
    await bucket.upload("out/000000_0").finish(b"a\n")
    assert await joined(part_pieces(bucket, "out", marked=False)) == b"a\nb\n"


async def test_parts_that_are_no_plain_text_are_refused(bucket):
    await bucket.upload("out/_SUCCESS").finish()
    await bucket.upload("out/part-00000.csv.gz").finish(b"x")
    with pytest.raises(TerminalAwsError, match="plain CSV"):
        await part_objects(bucket, "out")

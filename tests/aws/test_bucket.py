"""A bucket: listed by pages, read by ranges, written once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from app.aws.bucket import Bucket, is_missing
from app.aws.clients import AwsClients
from app.aws.errors import TerminalAwsError, TransientAwsError
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


async def test_an_object_is_put_by_one_alone_where_all_want_it_new(bucket):
    told = await asyncio.gather(*(bucket.put_new("claimed", b"%d" % number) for number in range(5)))
    assert sum(told) == 1
    assert await bucket.get("claimed") == b"%d" % told.index(True)


async def test_small_objects_are_got_whole_or_their_end(bucket):
    await bucket.put("a", b"0123456789")
    await bucket.put("empty", b"")
    assert await bucket.get("a") == b"0123456789"
    assert await bucket.get("a", last=3) == b"789"
    assert await bucket.get("empty", last=3) == b""
    assert await bucket.get("none") is None


async def test_an_object_is_streamed_in_pieces(bucket):
    data = bytes(range(256)) * 4_000
    await bucket.put("a", data)
    pieces = [piece async for piece in bucket.stream("a")]
    assert b"".join(pieces) == data
    assert len(pieces) > 3

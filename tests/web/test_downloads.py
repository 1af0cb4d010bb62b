"""Downloads: whole, in ranges, from where they broke off; from a folder, a bucket, or by the bucket itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from app.aws.bucket import Bucket
from app.aws.clients import AwsClients
from app.outputs.base import OutputStore, StorageError
from app.outputs.local import LocalOutputStore
from app.outputs.s3 import S3OutputStore
from app.services.downloads import DownloadService
from app.web.downloads import download_route
from tests.support.moto import account_at

LOCATION = "2026-01-05/a/output.csv"
CONTENT = b"0123456789"


@asynccontextmanager
async def s3_store(url: str, folder: Path, *, links: bool = False) -> AsyncIterator[S3OutputStore]:
    clients = AwsClients(account=account_at(url), max_attempts=1)
    await clients.call("s3", "create_bucket", Bucket="results")
    bucket = Bucket(clients=clients, name="results")
    yield S3OutputStore(clients=clients, bucket=bucket, prefix="p", scratch=folder, links=links)
    await clients.close()


@pytest.fixture(params=["local", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OutputStore]:
    if request.param == "local":
        yield LocalOutputStore(root=tmp_path)
        return
    async with s3_store(request.getfixturevalue("moto"), tmp_path) as store:
        yield store


class Browser:
    """Follows links of one store's files."""

    def __init__(self, store: OutputStore) -> None:
        self.store = store
        self._service = DownloadService(secret_key="x" * 40, public_url=None)
        application = Starlette(routes=[download_route(downloads=self._service, outputs=store)])
        self._transport = httpx.ASGITransport(application)

    async def ask(self, method: str = "GET", location: str = LOCATION, **headers: str) -> httpx.Response:
        link = self._service.url_for(location, filename="Übersicht.csv")
        async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
            return await client.request(
                method, link, headers={name.replace("_", "-"): headers[name] for name in headers}
            )


async def filled(store: OutputStore, content: bytes = CONTENT, location: str = LOCATION) -> Browser:
    async with store.open_writer(location) as writer:
        await writer.write(content)
    return Browser(store)


async def test_a_file_comes_whole_under_its_name(store):
    response = await (await filled(store)).ask()
    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["content-length"] == "10"
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%9Cbersicht.csv"


async def test_parquet_comes_as_what_it_is(store):
    response = await (await filled(store, location="a/output.parquet")).ask(location="a/output.parquet")
    assert response.headers["content-type"] == "application/vnd.apache.parquet"


@pytest.mark.parametrize(
    ("asked", "expected", "told"),
    [("3-5", b"345", "3-5/10"), ("7-", b"789", "7-9/10"), ("-2", b"89", "8-9/10"), ("8-99", b"89", "8-9/10")],
)
async def test_a_range_comes_alone(store, asked, expected, told):
    response = await (await filled(store)).ask(range=f"bytes={asked}")
    assert (response.status_code, response.content) == (206, expected)
    assert response.headers["content-range"] == f"bytes {told}"
    assert response.headers["content-length"] == str(len(expected))


async def test_a_range_behind_the_end_is_refused_with_the_size(store):
    response = await (await filled(store)).ask(range="bytes=10-")
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */10")


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=x-y"])
async def test_what_is_no_single_range_gives_the_whole(store, asked):
    response = await (await filled(store)).ask(range=asked)
    assert (response.status_code, response.content) == (200, CONTENT)


async def test_a_head_tells_the_size_and_sends_nothing(store):
    browser = await filled(store)
    head = await browser.ask("HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == "10"
    assert head.headers["etag"] == (await browser.ask()).headers["etag"]


async def test_a_download_goes_on_only_in_the_file_that_it_began_with(store):
    browser = await filled(store)
    etag = (await browser.ask()).headers["etag"]
    again = await browser.ask(range="bytes=5-", if_range=etag)
    assert (again.status_code, again.content) == (206, b"56789")
    await filled(store, b"abcdefghijk")
    changed = await browser.ask(range="bytes=5-", if_range=etag)
    assert (changed.status_code, changed.content) == (200, b"abcdefghijk")


async def test_an_empty_file_is_served(store):
    browser = await filled(store, b"")
    assert (await browser.ask()).status_code == 200
    assert (await browser.ask(range="bytes=0-")).status_code == 416


async def test_a_file_that_was_deleted_is_gone(store):
    browser = await filled(store)
    await store.delete(LOCATION)
    assert (await browser.ask()).status_code == 410


async def test_a_link_that_was_not_made_here_leads_nowhere(store):
    browser = await filled(store)
    async with httpx.AsyncClient(transport=browser._transport, base_url="http://test") as client:
        assert (await client.get("/downloads/forged")).status_code == 404


async def test_a_store_that_is_away_is_told_as_passing(store, monkeypatch):
    async def away(_location: str) -> None:
        raise StorageError("Away.", retriable=True)

    browser = await filled(store)
    monkeypatch.setattr(store, "facts", away)
    response = await browser.ask()
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


async def test_where_the_settings_say_so_the_bucket_itself_serves(moto, tmp_path):
    async with s3_store(moto, tmp_path, links=True) as store:
        response = await (await filled(store)).ask()
        assert response.status_code == 302
        assert response.headers["cache-control"] == "private, no-store"
        async with httpx.AsyncClient() as client:
            part = await client.get(response.headers["location"], headers={"range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")

"""A store of each kind, empty at first; and a local one alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.aws.bucket import Bucket
from app.aws.clients import AwsClients
from app.outputs.local import LocalOutputStore
from app.outputs.s3 import S3OutputStore
from tests.outputs.stored_files import LocalShelf, S3Shelf, Shelf
from tests.support.moto import account_at, forget

BUCKET = "results"
KEYS_PER_REQUEST = 3  # so that a few objects are several pages


@pytest.fixture
def store(tmp_path: Path) -> LocalOutputStore:
    return LocalOutputStore(root=tmp_path / "outputs")


@pytest.fixture(scope="session")
async def shared_clients(moto_url: str) -> AsyncIterator[AwsClients]:
    """Making one takes a good part of a second."""
    clients = AwsClients(account=account_at(moto_url), max_attempts=1)
    yield clients
    await clients.close()


@pytest.fixture
async def clients(shared_clients: AwsClients, moto_url: str) -> AwsClients:
    """They find one empty bucket."""
    forget(moto_url)
    await shared_clients.call("s3", "create_bucket", Bucket=BUCKET)
    return shared_clients


@pytest.fixture
def bucket(clients: AwsClients) -> Bucket:
    return Bucket(clients=clients, name=BUCKET, keys_per_request=KEYS_PER_REQUEST)


@pytest.fixture
def s3_store(clients: AwsClients, bucket: Bucket, tmp_path: Path) -> S3OutputStore:
    return S3OutputStore(clients=clients, bucket=bucket, prefix="team/outputs", scratch=tmp_path / "scratch")


@pytest.fixture(params=["local", "s3"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """A store of each kind, and a look behind it."""
    if request.param == "local":
        return LocalShelf(store=request.getfixturevalue("store"), folder=tmp_path)
    return S3Shelf(store=request.getfixturevalue("s3_store"), bucket=request.getfixturevalue("bucket"), folder=tmp_path)

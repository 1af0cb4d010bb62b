"""Clients of AWS: their calls run apart, and what goes wrong is told by its kind."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from botocore import exceptions

from app.aws.clients import AwsAccount, AwsClients
from app.aws.errors import AwsError, TerminalAwsError, TransientAwsError, aws_errors
from app.settings import AwsEmrSettings
from tests.support.moto import account_at
from tests.support.processes import free_port


@asynccontextmanager
async def clients_at(url: str, **values):
    clients = AwsClients(account=account_at(url), **{"max_attempts": 1, **values})
    try:
        yield clients
    finally:
        await clients.close()


async def test_calls_reach_the_endpoint_with_the_given_keys(moto):
    async with clients_at(moto) as clients:
        await clients.call("s3", "create_bucket", Bucket="made-here")
        found = await clients.call("s3", "list_buckets")
        assert [bucket["Name"] for bucket in found["Buckets"]] == ["made-here"]
        assert (await clients.call("emr", "list_clusters"))["Clusters"] == []
        assert clients.client("s3")._request_signer._credentials.access_key == "testing"


async def test_calls_leave_the_event_loop_and_its_own_threads_alone():
    async with clients_at("http://127.0.0.1:1", threads=2) as clients:
        names = [await clients.run(lambda: threading.current_thread().name) for _ in range(3)]
        assert all(name.startswith("aws") for name in names)


async def test_many_first_calls_at_once_share_one_client(moto):
    async with clients_at(moto) as clients:
        made = await asyncio.gather(*(clients.run(clients.client, "s3") for _ in range(8)))
        assert len(set(map(id, made))) == 1


async def test_a_server_that_is_away_is_worth_another_try():
    async with clients_at(f"http://127.0.0.1:{free_port()}", connect_timeout=timedelta(seconds=1)) as clients:
        with pytest.raises(TransientAwsError) as raised:
            await clients.call("s3", "list_buckets")
    assert raised.value.code == "EndpointConnectionError"
    assert raised.value.retriable


async def test_a_refusal_is_for_good_and_has_the_code_of_aws(moto):
    async with clients_at(moto) as clients:
        with pytest.raises(TerminalAwsError) as raised:
            await clients.call("s3", "get_object", Bucket="no-such-bucket", Key="x")
    assert raised.value.code == "NoSuchBucket"
    assert not raised.value.retriable


async def test_calls_with_wrong_arguments_are_told_as_such(moto):
    async with clients_at(moto) as clients:
        with pytest.raises(TerminalAwsError, match="Bucket"):
            await clients.call("s3", "get_object")


def refused(code: str, status: int) -> exceptions.ClientError:
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(answer, "ListSteps")


def kinds() -> Iterator[tuple[Exception, type[AwsError]]]:
    yield refused("ThrottlingException", 400), TransientAwsError
    yield refused("SlowDown", 503), TransientAwsError
    yield refused("InternalFailure", 500), TransientAwsError
    yield refused("TooMany", 429), TransientAwsError
    yield refused("NotImplemented", 501), TerminalAwsError
    yield refused("AccessDenied", 403), TerminalAwsError
    yield refused("ValidationException", 400), TerminalAwsError
    yield exceptions.NoCredentialsError(), TerminalAwsError
    yield exceptions.ReadTimeoutError(endpoint_url="x"), TransientAwsError
    yield exceptions.ConnectionClosedError(endpoint_url="x"), TransientAwsError
    yield exceptions.ResponseStreamingError(error="x"), TransientAwsError
    yield exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), TransientAwsError


@pytest.mark.parametrize(("error", "kind"), list(kinds()), ids=lambda value: str(value)[:40])
def test_what_passes_by_itself_is_told_apart_from_what_does_not(error, kind):
    with pytest.raises(kind), aws_errors("emr", "list_steps"):
        raise error


def test_the_settings_of_the_cluster_name_the_account():
    settings = AwsEmrSettings(s3_bucket="results", access_key="AK", secret_key="SK", endpoint_url="http://s3:9000")
    account = AwsAccount.of(settings)
    assert (account.access_key, account.secret_key, account.region) == ("AK", "SK", "us-east-1")
    assert account.endpoint_url == "http://s3:9000"
    assert "SK" not in repr(account)


def test_without_keys_the_usual_chain_is_asked(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    clients = AwsClients(account=AwsAccount.of(AwsEmrSettings(s3_bucket="results")))
    assert clients.client("s3")._request_signer._credentials.access_key == "from-the-environment"

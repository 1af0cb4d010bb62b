"""A server in this process that speaks AWS's protocols."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer

from app.aws.clients import AwsAccount

KEYS = {"access_key": "testing", "secret_key": "testing-secret"}


@contextmanager
def moto_server() -> Iterator[str]:
    """Its URL; it forgets everything with `forget`."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # a line for each request, and pytest keeps them all
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def forget(url: str) -> None:
    httpx.post(f"{url}/moto-api/reset").raise_for_status()


def account_at(url: str, **values: str) -> AwsAccount:
    return AwsAccount(**{"region": "us-east-1", **KEYS, "endpoint_url": url, **values})

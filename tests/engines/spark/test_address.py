"""Addresses of Spark Connect servers."""

import pytest

from app.engines.base import TerminalEngineError
from app.engines.spark.address import SparkAddress


def test_a_host_is_enough():
    address = SparkAddress.parse("sc://spark.internal")
    assert (address.target, address.tls, address.metadata, address.user) == (
        "spark.internal:15002",
        False,
        (),
        "data-phantom",
    )


def test_options_become_headers_and_a_token_wants_tls():
    address = SparkAddress.parse("sc://h:443/;token=a%2Fb;X-Cluster=c1;user_id=me")
    assert (address.tls, address.user) == (True, "me")
    assert address.metadata == (("x-cluster", "c1"), ("authorization", "Bearer a/b"))
    assert "a/b" not in repr(address)


def test_the_session_s_url_says_all_that_a_client_needs():
    address = SparkAddress.parse("sc://h:443/;use_ssl=true;token=a%2Fb;x-cluster=c1")
    url = address.url("s1")
    assert url == "sc://h:443/;session_id=s1;user_id=data-phantom;x-cluster=c1;use_ssl=true;token=a%2Fb"
    assert SparkAddress.parse(url) == address


@pytest.mark.parametrize("url", ["http://h", "sc://", "sc://h/path", "sc://h/;token"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(TerminalEngineError):
        SparkAddress.parse(url)

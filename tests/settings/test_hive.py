"""Connections to HiveServer2, as their URLs and keys describe them."""

from pathlib import Path

import pytest

from app.settings import HiveAuthentication, HiveConnectionSettings, Settings, SettingsError
from app.settings.hive import read_hive_url

MINIMAL = "meta_store: {url: 'sqlite+aiosqlite:////tmp/x.db'}\n"


def connection(url: str, **keys) -> HiveConnectionSettings:
    return HiveConnectionSettings(url=url, **keys)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("hive2://host:10001/sales", ("host", 10001, "sales")),
        ("jdbc:hive2://host/sales", ("host", 10000, "sales")),
        ("jdbc:hive2://[::1]:1/", ("::1", 1, None)),
        ("hive2://host", ("host", 10000, None)),
    ],
)
def test_a_url_is_read(url, parts):
    read = read_hive_url(url)
    assert (read.host, read.port, read.database) == parts


@pytest.mark.parametrize(
    "url",
    [
        "hive://",
        "mysql://host/db",
        "hive2://one,two/db",
        "hive2://host:99999/db",
        "jdbc:hive2://zk:2181/;serviceDiscoveryMode=zooKeeper",
        "nonsense",
    ],
)
def test_a_url_that_cannot_be_served_is_refused(url):
    with pytest.raises(ValueError, match=r"^(it |its |several |finding )"):
        read_hive_url(url)


def test_the_options_of_a_jdbc_url_mean_what_they_mean_to_java():
    url = "jdbc:hive2://host:443/db;ssl=true;transportMode=http;httpPath=gateway/hive;user=me;password=s;fetchSize=9"
    server = connection(url)
    assert (server.uses_tls, server.http_path, server.account) == (True, "gateway/hive", ("me", "s"))
    assert server.unused_options == ("fetchsize",)
    server = connection("jdbc:hive2://host/db;principal=svc/_HOST@EXAMPLE.ORG?hive.execution.engine=mr;a=b")
    assert (server.authentication, server.kerberos_service) == (HiveAuthentication.KERBEROS, "svc")
    assert server.session_settings == {"hive.execution.engine": "mr", "a": "b"}
    assert connection("jdbc:hive2://host/;auth=noSasl").authentication is HiveAuthentication.NOSASL


def test_keys_win_over_the_url_and_values_become_text():
    server = connection(
        "jdbc:hive2://host/db;ssl=true;user=me?a=b",
        user="you",
        tls=False,
        auth="LDAP",
        settings={"a": 1, "spark.sql.ansi.enabled": False},
    )
    assert (server.account[0], server.uses_tls, server.authentication) == ("you", False, HiveAuthentication.LDAP)
    assert server.session_settings == {"a": "1", "spark.sql.ansi.enabled": "false"}


def test_a_password_is_shown_nowhere():
    server = connection("jdbc:hive2://me:secret1@host/db;password=secret2", password="secret3")
    shown = f"{server!r} {server.model_dump(mode='json')}"
    assert "secret" not in shown


def test_named_connections_stand_beside_the_default_one(tmp_path: Path):
    path = tmp_path / "phantom.yml"
    path.write_text(
        MINIMAL
        + """
connector:
  hive: {url: hive2://one/db, settings: {hive.execution.engine: tez}}
  hive_connections:
    archive: {url: hive2://two/db, maxSize: 4}
"""
    )
    servers = Settings.load(path, {}).connector.hive_servers
    assert {name: (server.address.host, server.max_size) for name, server in servers.items()} == {
        "hive": ("one", 20),
        "archive": ("two", 4),
    }


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("hive: {url: mysql://x}", "connector.hive.url"),
        ("hive: {url: hive2://x, auth: MAGIC}", "connector.hive.auth"),
        ("hive: {url: hive2://x, settings: {a: [1]}}", "connector.hive.settings.a"),
        ("hive_connections: {hive: {url: hive2://x}}", "connector.hive_connections"),
    ],
)
def test_a_wrong_value_is_told_with_its_path(tmp_path: Path, text, path):
    file = tmp_path / "phantom.yml"
    file.write_text(f"{MINIMAL}connector:\n  {text}\n")
    with pytest.raises(SettingsError) as caught:
        Settings.load(file, {})
    assert path in str(caught.value)

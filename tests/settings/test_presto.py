"""Presto and Trino servers in the settings."""

from textwrap import dedent

import pytest

from app.engines.configured import configured_engines
from app.engines.presto.engine import PrestoEngine
from app.settings import PrestoConnectionSettings, Settings, SettingsError
from app.settings.presto import read_presto_address

_NEEDED = """
meta_store: {url: "sqlite:///x.db"}
jwt: {secretKey: "a secret of a good length, and of these tests alone"}
"""


def load(tmp_path, text: str) -> Settings:
    file = tmp_path / "phantom.yml"
    file.write_text(_NEEDED + dedent(text))
    return Settings.load(file, {})


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("presto://host:8081/hive/sales", ("http://host:8081", "hive", "sales")),
        ("presto://host", ("http://host:8080", None, None)),
        ("trino://host/hive", ("http://host:8080", "hive", None)),
        ("http://host/", ("http://host:80", None, None)),
        ("https://host/a%20b/c", ("https://host:443", "a b", "c")),
        ("https://[::1]:8443", ("https://[::1]:8443", None, None)),
    ],
)
def test_a_url_is_read(url, parts):
    address = read_presto_address(url)
    assert (address.url, address.catalog, address.schema) == parts


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://host", "presto://", "nonsense", "", "presto://host:99999", "presto://host:x"),
        *("presto://host/a/b/c", "presto://host/a?x=y"),
    ],
)
def test_a_url_that_cannot_be_served_is_refused(url):
    with pytest.raises(ValueError, match=r"^(it|its|options|after) "):
        read_presto_address(url)


def test_connections_are_engines_by_their_names_and_presto_s_come_first(tmp_path):
    settings = load(
        tmp_path,
        """
        connector:
          trino: {url: "https://trino.internal/hive", user: reader, password: secret-of-trino}
          presto:
            url: presto://presto.internal:8080/hive/sales
            user: reader
            source: phantom
            client_tags: [batch, night]
            time_zone: Europe/Berlin
            session_properties: {query_max_run_time: 2h, hive.pushdown: "true"}
          presto_connections:
            adhoc: {url: "presto://adhoc.internal"}
        """,
    )
    engines = [engine for engine in configured_engines(settings, tables={}) if isinstance(engine, PrestoEngine)]
    assert [engine.name for engine in engines] == ["presto", "adhoc", "trino"]
    assert engines[0]._session.headers() == {
        "X-Presto-Catalog": "hive",
        "X-Presto-Schema": "sales",
        "X-Presto-Time-Zone": "Europe/Berlin",
        "X-Presto-Client-Tags": "batch,night",
        "X-Presto-Session": "query_max_run_time=2h,hive.pushdown=true",
    }
    assert engines[2]._session.headers() == {
        "X-Trino-Catalog": "hive",
        "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",
    }
    assert "secret-of-trino" not in str(settings.describe())


@pytest.mark.parametrize(
    ("connector", "path", "words"),
    [
        ("{presto: {url: 'presto://h', password: x}}", "connector.presto.url", "in clear"),
        (
            "{presto: {url: 'https://h', password: x, access_token: y}}",
            "connector.presto.access_token",
            "one of the two",
        ),
        ("{presto: {url: 'jdbc:presto://h'}}", "connector.presto.url", "presto://host:8080/catalog/schema"),
        ("{presto: {url: 'presto://h', client_tags: ['a,b']}}", "connector.presto.client_tags", "without a comma"),
        (
            "{presto: {url: 'presto://h', session_properties: {'a b': c}}}",
            "connector.presto.session_properties",
            "name",
        ),
        ("{presto_connections: {trino: {url: 'presto://h'}}}", "connector.presto_connections", "another name"),
        (
            "{presto_connections: {a: {url: 'presto://h'}}, trino_connections: {a: {url: 'trino://h'}}}",
            "connector.trino_connections",
            "another name",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_path_and_what_is_permitted(tmp_path, connector, path, words):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"connector: {connector}\n")
    told = str(caught.value)
    assert path in told
    assert words in told


def test_the_account_may_stand_in_the_url():
    settings = PrestoConnectionSettings(url="https://u%40x:p%3Aw@host")
    user, password = settings.account
    assert (user, password.get_secret_value()) == ("u@x", "p:w")
    assert "p%3Aw" not in str(settings.url)
    assert PrestoConnectionSettings(url="https://u:p@host", user="other").account[0] == "other"

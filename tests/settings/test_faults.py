"""Wrong settings: all faults at once, each with its path, its value and what is permitted."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings, SettingsError, SettingsFault

BASE = {"meta_store": {"url": "jdbc:mariadb://localhost/x"}}


def faults_of(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> dict[str, SettingsFault]:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        Settings.load(file, env or {})
    assert str(refused.value).count("\n  - ") == len(refused.value.faults)
    return {fault.path: fault for fault in refused.value.faults}


def faults_with(tmp_path: Path, section: str, values: Any) -> dict[str, SettingsFault]:
    return faults_of(tmp_path, yaml.safe_dump({**BASE, section: values}))


@pytest.mark.parametrize(
    ("section", "values", "path", "value", "permitted"),
    [
        (
            "concurrency_config",
            {"adhoc_threadpool_size": 1001},
            "concurrency_config.adhoc_threadpool_size",
            "1001",
            "from 1 to 1000",
        ),
        ("concurrency_config", {"scheduler_sleep_time": 999}, "concurrency_config.scheduler_sleep_time", "999", "1000"),
        (
            "server",
            {"adminConnectors": [{"type": "http", "port": 65536}]},
            "server.adminConnectors[0].port",
            "65536",
            "a whole number from 0 to 65535",
        ),
        (
            "server",
            {"applicationConnectors": [{"type": "https", "port": 1}]},
            "server.applicationConnectors[0].type",
            "'https'",
            "http",
        ),
        ("worker", {"lease": "soon"}, "worker.lease", "'soon'", "a duration such as 30s, 5m or 500ms from 200ms to 1h"),
        ("worker", {"lease": 15}, "worker.lease", "15", "a duration"),
        ("log", {"format": "xml"}, "log.format", "'xml'", "one of json, text"),
        ("graphql", {"graphiql": "perhaps"}, "graphql.graphiql", "'perhaps'", "true or false"),
        ("graphql", {"max_depth": True}, "graphql.max_depth", "True", "from 1 to 100"),
        ("graphql", {"max_body_bytes": "1 parsec"}, "graphql.max_body_bytes", "'1 parsec'", "at least 1KiB"),
        (
            "reconciliation_settings",
            {"false_positive_rate": 0},
            "reconciliation_settings.false_positive_rate",
            "0",
            "a number from 0.000001 to 0.5",
        ),
        ("web", {"cors_origins": ["https://a", "ftp://b"]}, "web.cors_origins[1]", "'ftp://b'", "https://host"),
        ("server", {"trustedProxies": ["10.0.0.1/8"]}, "server.trustedProxies[0]", "'10.0.0.1/8'", "a network"),
        ("redis", {"url": "http://cache"}, "redis.url", "http://cache", "redis://"),
        ("connector", {"aws_emr": {"s3_bucket": "A_B"}}, "connector.aws_emr.s3_bucket", "'A_B'", "3 to 63 of a-z"),
        (
            "connector",
            {"mysql_connections": {"Two Words": {"url": "jdbc:mysql://h/x"}}},
            "connector.mysql_connections.Two Words",
            "'Two Words'",
            "a name of a-z",
        ),
        ("outputs", {"directory": ""}, "outputs.directory", "''", "a path"),
    ],
)
def test_a_wrong_value_is_told_with_its_path_and_range(
    tmp_path: Path, *, section: str, values: Any, path: str, value: str, permitted: str
):
    faults = faults_with(tmp_path, section, values)

    assert list(faults) == [path]
    assert faults[path].value == value
    assert permitted in (faults[path].permitted or "")


def test_all_faults_come_at_once(tmp_path: Path):
    faults = faults_of(
        tmp_path,
        """
        jwt: {tokenExpirationMinutes: 0, secretKey: '${UNSET}'}
        log: {level: loud}
        meta_store: {minSize: 99}
        x: 1
        """,
        {"DATA_PHANTOM__LOGS__LEVEL": "INFO"},
    )

    assert set(faults) == {
        "jwt.tokenExpirationMinutes",
        "jwt.secretKey",
        "log.level",
        "meta_store.url",
        "x",
        "DATA_PHANTOM__LOGS__LEVEL",
    }


def test_an_unknown_key_is_refused_with_the_nearest_known_one_and_without_its_value(tmp_path: Path):
    faults = faults_of(tmp_path, "meta_store: {url: 'jdbc:mysql://h/x', pasword: hunter2, max_size: 3}\nrediss: {}\n")

    assert "did you mean password?" in faults["meta_store.pasword"].problem
    assert "did you mean maxSize?" in faults["meta_store.max_size"].problem
    assert "did you mean redis?" in faults["rediss"].problem
    assert "hunter2" not in "".join(str(fault) for fault in faults.values())


@pytest.mark.parametrize(
    "text",
    [
        "meta_store: {url: 'jdbc:mariadb://u:hunter2@h:port/x'}",
        "meta_store: {url: 'jdbc:mariadb://u:hun/ter2@hunter2@h:port/x'}",
        "meta_store: {url: 'jdbc:oracle:thin:scott/hunter2@h'}",
        "meta_store: {url: 'jdbc:mysql://h/x?password=hunter2&sslMode=maybe'}",
        "meta_store: {url: 'postgresql://u:hunter2@h/x'}",
        "meta_store: {url: 'jdbc:mysql://h/x', password: [hunter2]}",
        "meta_store: hunter2",
        "meta_store: {url: 'jdbc:mysql://h/x'}\nredis: {url: 'http://:hunter2@h'}",
        "meta_store: {url: 'jdbc:mysql://h/x'}\njwt: {secretKey: {hunter2: hunter2}}",
        "meta_store: {password: hunter2, [}",
        "hunter2",
        "- hunter2",
    ],
)
def test_no_fault_tells_a_secret(tmp_path: Path, text: str):
    told = "".join(str(fault) for fault in faults_of(tmp_path, text).values())

    assert "hunter2" not in told


@pytest.mark.parametrize("value", ["1234", "0123", "yes", "1.5", "2026-01-05"])
def test_text_that_yaml_reads_as_something_else_wants_quotes(tmp_path: Path, value: str):
    faults = faults_of(tmp_path, f"meta_store: {{url: 'jdbc:mysql://h/x', password: {value}}}")

    assert "put it in quotes" in faults["meta_store.password"].problem
    assert faults["meta_store.password"].value == "***"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server: {\n", "line 2"),
        ("log: {level: INFO}\nlog: {level: DEBUG}\n", "the key log stands twice"),
        ("1: 2\n", "the key 1 is no text"),
        ("a: 2026-13-45\n", "no valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "no valid YAML"),
        ("a: 1\n---\nb: 2\n", "no valid YAML"),
    ],
)
def test_a_file_that_is_no_settings_file_is_told_by_its_name(tmp_path: Path, text: str, problem: str):
    faults = faults_of(tmp_path, text)

    assert list(faults) == [str(tmp_path / "settings.yaml")]
    assert problem in faults[str(tmp_path / "settings.yaml")].problem


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path, content: bytes | None):
    file = tmp_path / "missing.yaml"
    if content:
        file.write_bytes(content)

    with pytest.raises(SettingsError) as refused:
        Settings.load(file, {})

    assert [fault.path for fault in refused.value.faults] == [str(file)]


def test_values_that_do_not_go_together_are_told_at_the_key_to_change(tmp_path: Path):
    faults = faults_of(
        tmp_path,
        """
        server: {applicationConnectors: [{port: 9093}]}
        meta_store: {url: "jdbc:mysql://h/x", minSize: 10, maxSize: 3}
        worker: {lease: 2s}
        graphql: {default_page_size: 200}
        """,
    )

    assert set(faults) == {
        "server.adminConnectors",
        "meta_store.minSize",
        "worker.lease",
        "graphql.default_page_size",
    }


def test_a_key_without_a_value_keeps_its_default(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("meta_store: {url: 'jdbc:mysql://h/x', maxSize: }\nredis:\nlog: {level: }\n")

    settings = Settings.load(file, {})

    assert settings.meta_store.max_size == 50
    assert settings.redis.url is not None


def test_a_missing_database_is_told_with_the_variable_that_gives_it():
    with pytest.raises(SettingsError) as refused:
        Settings.load(None, {})

    assert [fault.path for fault in refused.value.faults] == ["meta_store.url"]
    assert "DATA_PHANTOM__META_STORE__URL" in refused.value.faults[0].problem


def test_a_connection_cannot_take_the_default_ones_name_nor_be_sqlite(tmp_path: Path):
    faults = faults_with(
        tmp_path,
        "connector",
        {"mysql_connections": {"mysql": {"url": "jdbc:mysql://h/x"}}, "mysql": {"url": "sqlite:///x"}},
    )

    assert set(faults) == {"connector.mysql_connections", "connector.mysql.url"}

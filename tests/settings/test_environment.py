"""The environment wins over the file, and tells what fits nowhere."""

from pathlib import Path

import pytest

from app.settings import LogLevel, Settings, SettingsError

SPECIFICATION = Path(__file__).with_name("specification.yaml")


def load(**env: str) -> Settings:
    return Settings.load(SPECIFICATION, {f"DATA_PHANTOM__{name}": value for name, value in env.items()})


def test_the_environment_wins_over_the_file_and_over_its_placeholders():
    settings = Settings.load(
        SPECIFICATION,
        {
            "MYSQL_USER": "from-placeholder",
            "DATA_PHANTOM__META_STORE__USER": "from-overlay",
            "DATA_PHANTOM__META_STORE__MAXSIZE": "7",
            "DATA_PHANTOM__META_STORE__MIN_SIZE": "2",
        },
    )

    assert settings.meta_store.user == "from-overlay"
    assert settings.connector.mysql is not None
    assert settings.connector.mysql.user == "from-placeholder"
    assert (settings.meta_store.max_size, settings.meta_store.min_size) == (7, 2)


def test_a_placeholder_that_the_environment_replaces_needs_no_variable(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("meta_store: {url: '${UNSET}'}\n")

    settings = Settings.load(file, {"DATA_PHANTOM__META_STORE__URL": "jdbc:mysql://h/x"})

    assert settings.meta_store.address.host == "h"


def test_what_a_variable_holds_is_taken_literally():
    settings = load(META_STORE__PASSWORD="${MYSQL_USER:x} $${y} #: 1234")

    assert settings.meta_store.password is not None
    assert settings.meta_store.password.get_secret_value() == "${MYSQL_USER:x} $${y} #: 1234"


def test_a_password_of_digits_stays_text():
    settings = load(META_STORE__PASSWORD="0123")

    assert settings.meta_store.password is not None
    assert settings.meta_store.password.get_secret_value() == "0123"


def test_an_entry_of_a_list_is_picked_by_its_number():
    assert load(SERVER__APPLICATION_CONNECTORS__0__PORT="8080").server.application.port == 8080


def test_a_list_is_added_where_the_file_has_none():
    settings = Settings.load(
        None,
        {
            "DATA_PHANTOM__META_STORE__URL": "jdbc:mysql://h/x",
            "DATA_PHANTOM__SERVER__APPLICATIONCONNECTORS__0__PORT": "1234",
        },
    )

    assert settings.server.application.port == 1234


@pytest.mark.parametrize("value", ["https://a.example, https://b.example", '["https://a.example","https://b.example"]'])
def test_a_list_of_texts_is_given_by_commas_or_as_json(value: str):
    assert load(WEB__CORS_ORIGINS=value).web.cors_origins == ("https://a.example", "https://b.example")


def test_a_section_is_given_as_json_and_its_keys_one_by_one_win_over_it():
    settings = load(LOG='{"level": "error", "format": "text"}', LOG__LEVEL="debug")

    assert settings.log.level is LogLevel.DEBUG
    assert settings.log.format == "text"


def test_a_named_connection_is_added():
    settings = load(CONNECTOR__MYSQL_CONNECTIONS__WAREHOUSE__URL="jdbc:mysql://w/x")

    assert list(settings.connector.mysql_servers) == ["warehouse"]


@pytest.mark.parametrize(
    ("name", "value", "path", "told"),
    [
        ("REDIS__ULR", "x", "DATA_PHANTOM__REDIS__ULR", "did you mean url?"),
        ("REDIS", "hunter2", "redis", "no section"),
        ("REDIS__URL__HOST", "x", "DATA_PHANTOM__REDIS__URL__HOST", "redis.url is one value"),
        ("", "x", "DATA_PHANTOM__", "no such key"),
        (
            "SERVER__APPLICATION_CONNECTORS__5__PORT",
            "1",
            "DATA_PHANTOM__SERVER__APPLICATION_CONNECTORS__5__PORT",
            "no entry 5",
        ),
        ("JWT__TOKEN_EXPIRATION_MINUTES", "soon", "jwt.tokenExpirationMinutes", "(from DATA_PHANTOM__JWT__TOKEN_EX"),
        ("LOG", '{"format": "xml"}', "log.format", "(from DATA_PHANTOM__LOG)"),
    ],
)
def test_a_variable_that_fits_nowhere_is_told(name: str, value: str, path: str, told: str):
    with pytest.raises(SettingsError) as refused:
        load(**{name: value})

    assert [fault.path for fault in refused.value.faults] == [path]
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_wrong_value_from_a_placeholder_names_its_variable(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("meta_store: {url: 'jdbc:mysql://h/x', maxSize: '${POOL:5}'}\n")

    with pytest.raises(SettingsError, match=r"meta_store.maxSize = 'many' \(from POOL\)"):
        Settings.load(file, {"POOL": "many"})

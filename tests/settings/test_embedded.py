"""The embedded mode: everything in one folder, and nothing to configure."""

import stat
from pathlib import Path

import pytest

from app.domain.dispatch import Limits, Pool
from app.settings import LogFormat, Settings, SettingsError
from app.settings.embedded_defaults import kept_secret


def test_everything_lies_in_the_data_folder(tmp_path: Path):
    folder = tmp_path / "a b" / "data"

    settings = Settings.embedded(folder, port=1234, env={})

    assert (
        settings.meta_store.address.sqlalchemy_url().render_as_string() == f"sqlite+aiosqlite:///{folder}/metadata.db"
    )
    assert settings.outputs.directory == folder / "outputs"
    assert settings.embedded_engine.directory == folder / "embedded"
    assert settings.embedded_engine.enabled
    assert (settings.server.application.port, settings.server.admin.port) == (1234, 1235)
    assert settings.server.application.bind_host == "127.0.0.1"
    assert settings.redis.url is None
    assert settings.log.format is LogFormat.TEXT
    assert settings.jwt.weakness() is None


def test_the_health_port_is_as_given(tmp_path: Path):
    assert Settings.embedded(tmp_path, port=1234, health_port=99, env={}).server.admin.port == 99


def test_free_ports_are_free_for_both(tmp_path: Path):
    server = Settings.embedded(tmp_path, port=0, env={}).server

    assert (server.application.port, server.admin.port) == (0, 0)


def test_the_secret_is_kept_and_for_its_owner_alone(tmp_path: Path):
    first = Settings.embedded(tmp_path / "data", env={}).jwt.secret_key
    file = tmp_path / "data" / "jwt-secret"
    file.chmod(0o644)
    again = Settings.embedded(tmp_path / "data", env={}).jwt.secret_key
    other = Settings.embedded(tmp_path / "other", env={}).jwt.secret_key

    assert first == again != other
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_a_process_that_loses_the_race_for_the_secret_takes_the_winners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "jwt-secret"

    def beaten_meanwhile(_: int) -> str:
        file.write_text("the winner's")
        return "the loser's"

    monkeypatch.setattr("app.settings.embedded_defaults.secrets.token_urlsafe", beaten_meanwhile)

    assert kept_secret(tmp_path) == "the winner's"
    assert file.read_text() == "the winner's"
    assert list(tmp_path.iterdir()) == [file]


def test_a_secret_of_the_environment_needs_no_file(tmp_path: Path):
    settings = Settings.embedded(tmp_path / "data", env={"DATA_PHANTOM__JWT__SECRET_KEY": "mine"})

    assert settings.jwt.secret_key.get_secret_value() == "mine"
    assert not (tmp_path / "data").exists()


def test_a_file_and_the_environment_win_over_the_defaults(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("log: {format: json}\nembedded: {threads: 2}\noutputs: {directory: /elsewhere}\n")

    settings = Settings.embedded(tmp_path, path=file, env={"DATA_PHANTOM__OUTPUTS__DIRECTORY": "/here"})

    assert settings.log.format is LogFormat.JSON
    assert settings.embedded_engine.threads == 2
    assert settings.embedded_engine.enabled
    assert settings.outputs.directory == Path("/here")


def test_tables_are_registered_and_must_exist(tmp_path: Path):
    (tmp_path / "flights.csv").write_text("a\n1\n")
    file = tmp_path / "settings.yaml"
    file.write_text(
        f"""
        embedded:
          tables:
            flights: {{path: {tmp_path}/flights.csv, null_values: ["", NA], delimiter: "|"}}
            demo.all: {{path: "{tmp_path}/*.csv"}}
            lost: {{path: {tmp_path}/lost.csv}}
        """
    )

    with pytest.raises(SettingsError) as refused:
        Settings.embedded(tmp_path, path=file, env={})
    assert [fault.path for fault in refused.value.faults] == ["embedded.tables.lost.path"]

    (tmp_path / "lost.csv").touch()
    tables = Settings.embedded(tmp_path, path=file, env={}).embedded_engine.tables
    assert list(tables) == ["flights", "demo.all", "lost"]
    assert tables["flights"].null_values == ("", "NA")
    assert tables["flights"].delimiter == "|"


def test_the_started_redis_takes_its_place(tmp_path: Path):
    settings = Settings.embedded(tmp_path, env={}).with_redis("redis://127.0.0.1:7777/0")

    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == "redis://127.0.0.1:7777/0"


def test_it_is_no_production(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"redis\.url"):
        Settings.embedded(tmp_path, env={}).check_production()


def test_the_pools_and_limits_are_what_the_settings_say(tmp_path: Path):
    prefix = "DATA_PHANTOM__CONCURRENCY_CONFIG__"
    env = {f"{prefix}ADHOC_THREADPOOL_SIZE": "7", f"{prefix}MAX_TASKS_PER_USER": "3"}

    concurrency = Settings.embedded(tmp_path, env=env).concurrency_config

    assert concurrency.pools == {Pool.ADHOC: 7, Pool.SCHEDULED: 200}
    assert concurrency.limits == Limits(per_user=3)
    assert not Settings.embedded(tmp_path, env={}).concurrency_config.limits

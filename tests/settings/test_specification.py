"""The specification's YAML, as it stands."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError

SPECIFICATION = Path(__file__).with_name("specification.yaml")


def test_it_loads_unchanged_with_nothing_in_the_environment():
    settings = Settings.load(SPECIFICATION, {})

    assert (settings.server.application.port, settings.server.admin.port) == (9092, 9093)
    assert (settings.meta_store.max_size, settings.meta_store.min_size) == (50, 10)
    assert settings.meta_store.max_connection_age == timedelta(minutes=30)
    assert settings.meta_store.validation_query == "SELECT 1"
    assert settings.jwt.token_lifetime == timedelta(hours=1)
    assert settings.jwt.refresh_token_lifetime == timedelta(days=7)
    assert settings.concurrency_config.scheduler_sleep == timedelta(minutes=5)
    assert settings.concurrency_config.execution_grace == timedelta(minutes=5)
    assert settings.concurrency_config.min_execution_interval == timedelta(minutes=6)
    assert settings.reconciliation_settings.exact_match_threshold == 1_048_576
    assert settings.reconciliation_settings.false_positive_rate == 0.1
    assert settings.connector.aws_emr is not None
    assert settings.connector.aws_emr.step_polling == timedelta(seconds=30)
    assert settings.connector.aws_emr.stack_name == "DataPhantomClusterStack"
    assert settings.connector.mysql is not None
    assert settings.connector.mysql.output_directory == Path("/", "tmp", "sql-output")
    assert settings.connector.mysql.allow_writes is False


def test_a_jdbc_url_becomes_the_url_of_the_async_driver():
    url = Settings.load(SPECIFICATION, {}).meta_store.address.sqlalchemy_url()

    assert url.drivername == "mariadb+asyncmy"
    assert (url.host, url.port, url.database, url.username) == ("localhost", 3306, "data_phantom", "root")
    assert url.password == "your-password"
    assert "your-password" not in str(url)


def test_its_own_variables_fill_the_placeholders():
    env = {
        "MYSQL_URL": "jdbc:mysql://db.example:3307/sales?useSSL=false",
        "MYSQL_USER": "reader",
        "MYSQL_PASSWORD": "p@ss: ${NOT_A_VARIABLE} #1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_S3_BUCKET": "results",
        "JWT_SECRET_KEY": "an-own-secret-of-more-than-thirty-two-bytes",
    }

    settings = Settings.load(SPECIFICATION, env)

    server = settings.connector.mysql_servers["mysql"]
    assert server.address.sqlalchemy_url().render_as_string(hide_password=False).startswith("mysql+asyncmy://reader:")
    assert server.address.password is not None
    assert server.address.password.get_secret_value() == env["MYSQL_PASSWORD"]
    assert settings.connector.emr is not None
    assert settings.connector.emr.s3_bucket == "results"
    settings.check_production()


def test_example_values_configure_no_engine():
    connector = Settings.load(SPECIFICATION, {}).connector

    assert connector.emr is None
    assert connector.mysql_servers == {}


def test_production_refuses_the_example_secret_and_password():
    with pytest.raises(SettingsError) as refused:
        Settings.load(SPECIFICATION, {}).check_production()

    assert [fault.path for fault in refused.value.faults] == ["jwt.secretKey", "meta_store"]
    assert "your-" not in str(refused.value)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [("", "empty"), ("short", "5 bytes"), ("a" * 64, "repeats"), ("x" * 31 + "é", None)],
)
def test_production_refuses_a_weak_secret(secret: str, reason: str | None):
    env = {"JWT_SECRET_KEY": secret, "MYSQL_PASSWORD": "own"}

    with pytest.raises(SettingsError) as refused:
        Settings.load(SPECIFICATION, env).check_production()

    assert [fault.path for fault in refused.value.faults] == ["jwt.secretKey"]
    if reason:
        assert reason in refused.value.faults[0].problem


def test_the_description_shows_no_secret_and_reads_back(tmp_path: Path):
    env = {
        "MYSQL_URL": "jdbc:mariadb://db/sales?user=u&password=hidden1",
        "MYSQL_PASSWORD": "hidden2",
        "AWS_ACCESS_KEY_ID": "hidden3",
        "JWT_SECRET_KEY": "hidden4",
        "DATA_PHANTOM__REDIS__URL": "redis://:hidden5@cache:6379/1",
    }
    settings = Settings.load(SPECIFICATION, env)

    described = settings.describe()

    assert "hidden" not in str(described)
    assert "hidden" not in repr(settings)
    assert described["redis"]["url"] == "redis://:***@cache:6379/1"
    assert described["connector"]["mysql"]["url"] == "jdbc:mariadb://db/sales?user=u&password=***"
    file = tmp_path / "again.json"
    file.write_text(json.dumps(described))
    again = Settings.load(file, {})
    assert again.describe() == described


def test_remarks_name_what_is_permitted_and_worth_a_look():
    env = {"MYSQL_URL": "jdbc:mysql://db/sales?useSSL=false&rewriteBatchedStatements=true", "MYSQL_PASSWORD": "own"}

    remarks = "\n".join(Settings.load(SPECIFICATION, env).remarks())

    assert "connector.aws_emr has the documentation's example values" in remarks
    assert "connector.mysql.url has options that concern Java alone" in remarks
    assert "rewritebatchedstatements." in remarks
    assert "false_positive_rate is 0.1" in remarks

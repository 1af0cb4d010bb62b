"""Spark connections in the settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.domain.tasks import TaskType
from app.engines.configured import configured_engines
from app.settings import Settings, SettingsError


def loaded(tmp_path: Path, **connector: Any) -> Settings:
    tree = {"meta_store": {"url": "jdbc:mariadb://localhost/x"}, "connector": connector}
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(tree))
    return Settings.load(file, {})


async def test_named_servers_speak_sql_and_scripts_and_the_unnamed_one_is_the_default(tmp_path):
    settings = loaded(
        tmp_path,
        spark={"remote": "sc://spark:15002", "session_conf": {"spark.sql.ansi.enabled": "false"}, "max_tasks": 3},
        spark_connections={"lab": {"home": "/opt/spark", "submit": True}},
    )
    engines = configured_engines(settings, tables={})
    assert [(engine.name, engine.capacity) for engine in engines] == [("spark", 3), ("lab", 32)]
    assert all(engine.types == {TaskType.SPARK_SQL, TaskType.PYSPARK} for engine in engines)
    for engine in engines:
        await engine.close()


@pytest.mark.parametrize(
    ("spark", "path"),
    [
        ({}, "connector.spark.remote"),
        ({"remote": "http://spark"}, "connector.spark.remote"),
        ({"remote": "sc://spark", "submit": True}, "connector.spark.submit"),
        ({"remote": "sc://spark", "home": "/opt/spark"}, "connector.spark.home"),
        ({"home": "/opt/spark", "driver_memory": "1MB"}, "connector.spark.driver_memory"),
    ],
)
def test_what_cannot_be_is_refused_by_its_path(tmp_path, spark, path):
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, spark=spark)
    assert path in str(caught.value)


def test_a_token_is_not_shown(tmp_path):
    settings = loaded(tmp_path, spark={"remote": "sc://spark:443/;token=very-secret"})
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()

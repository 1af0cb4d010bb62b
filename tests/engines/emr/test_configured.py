"""The EMR engine is there where the settings have a cluster, behind direct connections."""

from pathlib import Path

from app.domain.tasks import TaskType
from app.engines.base import EngineKind
from app.engines.configured import configured_engines
from app.engines.registry import EngineRegistry
from app.settings import Settings
from app.settings.connector import ConnectorSettings
from tests.engines.emr.harness import settings_at

_LANGUAGES = {TaskType.HIVE, TaskType.PRESTO, TaskType.SPARK_SQL, TaskType.PYSPARK}


def engines_with(folder: Path, **connector: object) -> EngineRegistry:
    settings = Settings.embedded(folder, env={})
    settings = settings.model_copy(update={"connector": ConnectorSettings(**connector)})
    return EngineRegistry(engines=configured_engines(settings, tables={}))


async def test_four_languages_run_on_the_cluster(tmp_path):
    registry = engines_with(tmp_path, aws_emr=settings_at("http://127.0.0.1:1", "phantom"))
    engine = registry.engine_for(TaskType.HIVE, None)
    assert (engine.name, engine.kind, engine.types) == ("emr", EngineKind.EMR, _LANGUAGES)
    assert all(registry.engine_for(type_, "emr") is engine for type_ in _LANGUAGES)
    await registry.close()


async def test_a_direct_connection_goes_first(tmp_path):
    registry = engines_with(
        tmp_path, aws_emr=settings_at("http://127.0.0.1:1", "phantom"), presto={"url": "presto://127.0.0.1:1/hive"}
    )
    assert registry.engine_for(TaskType.PRESTO, None).name == "presto"
    assert registry.engine_for(TaskType.PRESTO, "emr").kind is EngineKind.EMR
    await registry.close()


async def test_the_documentation_s_example_values_are_no_cluster(tmp_path):
    registry = engines_with(tmp_path, aws_emr=settings_at("http://127.0.0.1:1", "your-s3-bucket"))
    assert all(engine.kind is not EngineKind.EMR for engine in registry.all())
    await registry.close()

"""Engines by language and by name."""

import pytest

from app.domain.errors import InvalidError, UnavailableError
from app.domain.tasks import TaskType
from app.engines.mysql.engine import MysqlEngine
from app.engines.registry import EngineRegistry


def server(name: str) -> MysqlEngine:
    return MysqlEngine(name=name, host="localhost", user="u")


def test_the_first_engine_of_a_language_is_its_default():
    first, second = server("shop"), server("stock")
    registry = EngineRegistry(engines=[first, second])
    assert registry.engine_for(TaskType.MYSQL, None) is first
    assert registry.engine_for(TaskType.MYSQL, "stock") is second
    assert list(registry.all()) == [first, second]


def test_an_unknown_name_is_refused_with_the_names_that_exist():
    with pytest.raises(InvalidError, match=r"'nope'.*shop, stock") as caught:
        EngineRegistry(engines=[server("stock"), server("shop")]).engine_for(TaskType.MYSQL, "nope")
    assert caught.value.path == ("connection",)


def test_a_name_of_another_language_is_refused():
    with pytest.raises(InvalidError, match="none"):
        EngineRegistry(engines=[server("shop")]).engine_for(TaskType.HIVE, "shop")


def test_a_language_without_an_engine_is_told_with_what_to_configure():
    with pytest.raises(UnavailableError, match="settings"):
        EngineRegistry(engines=[server("shop")]).engine_for(TaskType.HIVE, None)

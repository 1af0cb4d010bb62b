"""The columns that texts give, by what the engines' catalogues tell."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from app.domain.tasks import TaskType
from app.engines.base import TransientEngineError
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.registered import RegisteredTable
from app.engines.registry import EngineRegistry
from app.models import Playground
from app.services import fields as fields_module
from app.services.fields import FieldsAsked, FieldService
from tests.engines.embedded.harness import Runner, make_engine
from tests.engines.mysql.driving import engine_for
from tests.support.engine import Cluster, FakeEngine
from tests.support.mariadb import MariaDB


async def columns(service: FieldService, type_: TaskType, text: str, **where: Any) -> tuple[list[str], str | None]:
    (found,) = await service.fields([FieldsAsked(type=type_, text=text, **where)])
    return [column.name for column in found.columns], found.problem


async def test_the_embedded_engine_knows_registered_tables_and_those_that_tasks_made(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("Shop,amount\nnorth,1\n")
    registered = {"sales": RegisteredTable(name="sales", path=tmp_path / "sales.csv")}
    engine = make_engine(Catalogue(root=tmp_path / "catalogue", registered=registered), tmp_path / "scratch")
    service, runner = FieldService(engines=EngineRegistry(engines=[engine])), Runner(engine, tmp_path)
    playground = Playground(id=runner.playground_id)
    names, problem = await columns(service, TaskType.HIVE, "SELECT * FROM sales")
    assert names == []
    assert problem is not None  # nobody has read the file yet, and that may take long
    await runner(TaskType.HIVE, "CREATE TABLE made AS SELECT Shop, amount * 2 AS twice FROM sales")
    text = "SELECT s.*, m.* FROM sales s JOIN default.made m ON s.Shop = m.Shop"
    assert await columns(service, TaskType.HIVE, text, playground=playground) == (
        ["Shop", "amount", "Shop", "twice"],
        None,
    )
    assert "made" in str((await columns(service, TaskType.HIVE, "SELECT * FROM made"))[1])
    await engine.close()


async def test_a_server_tells_its_tables_but_for_the_platforms_own(mariadb: MariaDB, tmp_path: Path) -> None:
    shop, own = mariadb.create_database(), mariadb.create_database()
    mariadb.execute("CREATE TABLE `Orders` (Id INT, `the Amount` INT)", database=shop)
    mariadb.execute("CREATE TABLE secrets (token INT)", database=own)
    forbidden = (mariadb.host, mariadb.port, own)
    async with engine_for(mariadb, tmp_path, database=shop, forbidden=forbidden) as driver:
        service = FieldService(engines=EngineRegistry(engines=[driver.engine]))
        expected = (["Id", "the Amount"], None)
        assert await columns(service, TaskType.MYSQL, "SELECT * FROM `Orders`") == expected
        assert (
            await columns(service, TaskType.MYSQL, f"SELECT o.* FROM {shop}.`Orders` o", connection="shop") == expected
        )
        assert (await columns(service, TaskType.MYSQL, f"SELECT * FROM {own}.secrets"))[0] == []


class Silent(FakeEngine):
    """Tells its columns after a while, or never."""

    def __init__(self, answer: Any) -> None:
        super().__init__(Cluster())
        self.answer = answer
        self.asked: list[Collection[str]] = []

    async def columns(self, tables: Collection[str], *, playground_id: Any) -> Any:  # noqa: ARG002 - as in the protocol
        self.asked.append(tables)
        return await self.answer()


async def never() -> None:
    await asyncio.Event().wait()


async def away() -> None:
    raise TransientEngineError("away")


@pytest.mark.parametrize("answer", [never, away])
async def test_an_engine_that_does_not_answer_keeps_nothing_but_its_columns_back(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields_module, "PATIENCE", 0.01)
    service = FieldService(engines=EngineRegistry(engines=[Silent(answer)]))
    assert (await columns(service, TaskType.HIVE, "SELECT 1 AS one, * FROM t"))[0] == ["one"]


async def test_an_engine_is_asked_once_for_all_texts_of_a_playground() -> None:
    async def answer() -> Any:
        return {"t": ["a"], "u": ["b"]}

    engine = Silent(answer)
    service = FieldService(engines=EngineRegistry(engines=[engine]))
    texts = ["SELECT * FROM t", "SELECT * FROM u", "SELECT 1 AS one", "{{ nonsense }}"]
    found = await service.fields([FieldsAsked(type=TaskType.HIVE, text=text) for text in texts])
    assert [[column.name for column in each.columns] for each in found] == [["a"], ["b"], ["one"], []]
    assert found[-1].problem is not None
    assert engine.asked == [["t", "u"]]

"""The embedded engine's fixtures: a small catalogue of registered files and a runner of texts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.registered import RegisteredTable
from tests.engines.embedded.harness import Runner, make_engine

_SALES = """id,shop,amount,day,sold_at,note
1,north,10,2024-01-01,2024-01-01 09:30:00,"a,b"
2,north,20,2024-01-02,2024-01-02 10:00:00,NA
3,south,5,2024-01-02,2024-01-02 23:59:59,x
4,south,7,2024-02-29,2024-02-29 00:00:00,y
5,east,NA,2024-12-30,2024-12-30 12:00:00,z
"""
_NESTED = """{"id": 1, "tags": ["a", "b"], "scores": {"x": 1, "y": 2}, "doc": "{\\"k\\": {\\"n\\": 1}}"}
{"id": 2, "tags": [], "scores": null, "doc": "no json"}
{"id": 3, "tags": ["c"], "scores": {"x": 3, "y": null}, "doc": null}
"""


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "sales.csv").write_text(_SALES)
    (folder / "nested.json").write_text(_NESTED)
    return folder


@pytest.fixture(scope="session")
def registered(sources: Path) -> dict[str, RegisteredTable]:
    return {
        "sales": RegisteredTable(name="sales", path=sources / "sales.csv", null_values=("NA",)),
        "nested": RegisteredTable(name="nested", path=sources / "nested.json"),
    }


@pytest.fixture(scope="session")
async def run(tmp_path_factory: pytest.TempPathFactory, registered) -> AsyncIterator[Runner]:
    """One engine for all cases that change no table."""
    folder = tmp_path_factory.mktemp("embedded")
    engine = make_engine(Catalogue(root=folder / "catalogue", registered=registered), folder / "scratch")
    yield Runner(engine, folder)
    await engine.close()


@pytest.fixture
async def fresh(tmp_path: Path, registered) -> AsyncIterator[Runner]:
    """An engine and a playground of the test's own."""
    engine = make_engine(Catalogue(root=tmp_path / "catalogue", registered=registered), tmp_path / "scratch")
    yield Runner(engine, tmp_path)
    await engine.close()

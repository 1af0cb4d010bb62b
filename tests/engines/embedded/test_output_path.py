"""What PySpark scripts write to their output path on the embedded engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.pyspark import EmbeddedPysparkEngine
from tests.engines.driving import Driver

WRITTEN = "spark.createDataFrame([(1, 'ä'), (2, None)], 'a int, b string')"


@pytest.fixture(scope="module")
async def spark(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driver]:
    folder: Path = tmp_path_factory.mktemp("output_path")
    catalogue = Catalogue(root=folder / "catalogue", registered={})
    engine = EmbeddedPysparkEngine(catalogue=catalogue, scratch=folder / "scratch")
    yield Driver(engine, type=TaskType.PYSPARK, folder=folder)
    await engine.close()


@pytest.mark.parametrize(
    "writing",
    [
        f"{WRITTEN}.write.parquet(output_path)",
        f"{WRITTEN}.write.mode('overwrite').option('header', True).csv(output_path)",
        f"{WRITTEN}.write.json(output_path)",
        f"{WRITTEN}.toPandas().to_csv(output_path, index=False)",
        f"{WRITTEN}.toPandas().to_parquet(output_path)",
        f"import os\nos.mkdir(output_path)\n{WRITTEN}.toPandas().to_csv(output_path + '/rows.csv', index=False)",
    ],
)
async def test_what_a_script_writes_to_its_output_path_is_its_output(spark, writing):
    ended = await spark.run(writing)
    assert ended.message == ""
    assert ended.labels == ["a", "b"]
    assert sorted(ended.rows) == [["1", "ä"], ["2", None]]


async def test_a_result_goes_before_what_was_written(spark):
    ended = await spark.run(f"{WRITTEN}.write.parquet(output_path)\nresult = [{{'c': 3}}]")
    assert (ended.labels, ended.rows) == (["c"], [["3"]])


async def test_files_of_several_formats_are_no_output(spark):
    ended = await spark.run(
        "import os\nos.mkdir(output_path)\n"
        "for name in 'a.csv', 'b.json':\n    open(os.path.join(output_path, name), 'w').write('{}')"
    )
    assert (ended.code, "csv, json" in ended.message) == ("RESULT", True)

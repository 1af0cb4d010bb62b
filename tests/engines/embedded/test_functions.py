"""Functions of JARs want a JVM: without one, what calls them fails and says what to configure."""

from pathlib import Path
from uuid import uuid4

import pytest

from app.engines.base import TerminalEngineError, UdfKind, Work, WorkUdf
from app.engines.configured import configured_engines
from app.settings import Settings


async def test_no_embedded_engine_runs_a_text_without_the_functions_that_it_wants(tmp_path: Path) -> None:
    engines = configured_engines(Settings.embedded(tmp_path, env={}), tables={})
    udf = WorkUdf(
        function_name="shout", class_name="a.Shout", kind=UdfKind.HIVE, jar=tmp_path / "shout.jar", sha256="0" * 64
    )
    for engine in engines:
        for type_ in engine.types:
            work = Work(
                task_run_id=uuid4(), attempt=1, playground_id=uuid4(), type=type_, query="SELECT 1", udfs=(udf,)
            )
            with pytest.raises(TerminalEngineError, match=r"\(shout\)\. Configure a Hive or Spark") as refused:
                await engine.submit(work)
            assert refused.value.code == "UNSUPPORTED"
    for engine in engines:
        await engine.close()

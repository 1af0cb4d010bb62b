"""Scripts by spark-submit, each in a driver of its own, for those that want a SparkContext."""

import asyncio
import json
from pathlib import Path

from app.engines.pyspark import runner
from app.engines.pyspark.process import RunnerProcess, script_environment
from app.engines.pyspark.runner import JOB
from app.engines.spark.local import Distribution, guarded

_PROGRAM = str(Path(runner.__file__).with_name("submitted.py"))  # which wants the distribution's own pyspark


class Submissions:
    """Starts a driver for each script; nothing is warm."""

    def __init__(self, *, distribution: Distribution, home: Path) -> None:
        self._distribution = distribution
        self._home = home

    async def take(self, folder: Path) -> RunnerProcess:
        self._distribution.check()
        await asyncio.to_thread(self._home.mkdir, parents=True, exist_ok=True)
        jars = json.loads(await asyncio.to_thread((folder / JOB).read_text, encoding="utf-8"))["jars"]
        conf = {"spark.ui.enabled": "false", **self._distribution.catalogue_conf(folder)}
        options = ("--jars", ",".join(jars)) if jars else ()
        program = self._distribution.command(conf, *options, _PROGRAM, str(folder))
        return await RunnerProcess.start(
            [*guarded(), *program],
            home=self._home,
            env=self._distribution.environment(script_environment(self._home)),
        )

    def refill(self) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is kept."""

"""An EMR of the tests' own: moto with a stack, a runner of its steps, and engines over them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from app.engines.emr.configured import emr_engine
from app.engines.emr.engine import EmrEngine
from app.settings import AwsEmrSettings
from tests.support.moto import KEYS, moto_server
from tests.support.step_runner import StepRunner, make_stack, running_steps


@dataclass(frozen=True, kw_only=True)
class Emr:
    """`name` is that of the stack and of the bucket."""

    url: str
    name: str
    runner: StepRunner

    def engine(self, **values: object) -> EmrEngine:
        return emr_engine(settings_at(self.url, self.name, **values))


def settings_at(url: str, name: str, **values: object) -> AwsEmrSettings:
    return AwsEmrSettings(
        **{
            **KEYS,
            "endpoint_url": url,
            "s3_bucket": name,
            "stack_name": name,
            "cluster_logical_id": "Cluster",
            "step_polling_interval": 100,
            "stack_update_polling_interval": 100,
            **values,
        }
    )


@contextmanager
def emr_at_work(folder: Path, *, generation: str = "first", **environment: str) -> Iterator[Emr]:
    """The programs of the steps get the environment."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # a line for each request would hide the rest
    name = f"phantom-{uuid4().hex[:8]}"  # one moto's state is every moto's in this process
    with moto_server() as url:
        make_stack(url, name=name, bucket=name, ClusterGeneration=generation)
        with running_steps(url, bucket=name, folder=folder, environment=environment) as runner:
            yield Emr(url=url, name=name, runner=runner)

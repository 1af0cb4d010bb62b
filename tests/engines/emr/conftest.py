"""Fixtures of the EMR engine's tests: a cluster whose steps run, and an engine over an EMR that goes by a plan."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.aws.clients import AwsAccount, AwsClients
from app.engines.emr.configured import emr_engine_over
from app.engines.emr.engine import EmrEngine
from tests.engines.emr.harness import Emr, emr_at_work, settings_at
from tests.engines.emr.planned_aws import PlannedAws
from tests.support.spark import SparkServer


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, spark_server: SparkServer) -> Iterator[Emr]:
    with emr_at_work(tmp_path_factory.mktemp("steps"), CLUSTER_SPARK=spark_server.connect_url) as cluster:
        yield cluster


@pytest.fixture
def light_cluster(tmp_path: Path) -> Iterator[Emr]:
    """One whose steps have nothing to run on but this machine."""
    with emr_at_work(tmp_path / "steps") as cluster:
        yield cluster


@pytest.fixture
def aws() -> PlannedAws:
    return PlannedAws()


@pytest.fixture
async def planned(aws: PlannedAws, moto_url: str) -> AsyncIterator[Callable[..., EmrEngine]]:
    """Makes engines over one bucket and one EMR that goes by the plan; its steps run nothing."""
    made: list[EmrEngine] = []
    name = f"phantom-{uuid4().hex[:8]}"

    def make(**values: object) -> EmrEngine:
        settings = settings_at(moto_url, name, **{"stack_update_polling_interval": 100, **values})
        engine = emr_engine_over(settings, s3=AwsClients(account=AwsAccount.of(settings)), control=aws)
        made.append(engine)
        return engine

    s3 = AwsClients(account=AwsAccount.of(settings_at(moto_url, name)))
    await s3.call("s3", "create_bucket", Bucket=name)
    yield make
    for engine in made:
        await engine.close()
    await s3.close()

"""Functions on real engines: uploaded by a form, attached to a task, and called by its text through a worker."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.aws.clients import AwsClients
from app.domain.identity import new_id
from app.domain.tasks import TaskType
from app.graphql.ids import parse_global
from app.main import create_app
from app.models import TaskRun
from app.services.tasks import TaskDraft
from app.settings import Settings
from app.settings.outputs import S3Settings
from tests.support.java import HIVE_FUNCTION, SPARK_FUNCTION
from tests.support.moto import KEYS, account_at
from tests.support.redis import RedisServer
from tests.support.spark import SparkServer
from tests.support.workbench import Workbench, copied, flush, open_workbench, redis_url_of, settings_for
from workers.main import WorkerProcess

UPLOAD = """mutation($i: UploadUdfInput!) { uploadUdf(input: $i) { udf { id kind } errors { message path } } }"""


@pytest.fixture
def settings(spark_server: SparkServer, redis_server: RedisServer, migrated_sqlite: Path, tmp_path: Path) -> Settings:
    redis_url = redis_url_of(redis_server.url)
    flush(redis_url)
    return settings_for(
        tmp_path,
        database_url=copied(migrated_sqlite, tmp_path),
        redis_url=redis_url,
        DATA_PHANTOM__CONNECTOR__HIVE__URL=f"hive2://{spark_server.host}:{spark_server.hive_port}/default",
        DATA_PHANTOM__CONNECTOR__SPARK__REMOTE=spark_server.connect_url,
    )


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Workbench]:
    async with open_workbench(settings) as bench:
        yield bench


@pytest.fixture
async def s3_bench(settings: Settings, moto: str) -> AsyncIterator[Workbench]:
    """The outputs, and the JARs with them, lie in a bucket."""
    s3 = S3Settings(bucket="results", endpoint_url=moto, **KEYS)
    clients = AwsClients(account=account_at(moto))
    await clients.call("s3", "create_bucket", Bucket="results")
    await clients.close()
    outputs = settings.outputs.model_copy(update={"s3": s3})
    async with open_workbench(settings.model_copy(update={"outputs": outputs})) as bench:
        yield bench


async def uploaded(bench: Workbench, jar: Path, **values: str) -> dict[str, str]:
    """The UDF, by the form that a client of the API sends."""
    application = create_app(bench.process)
    content = await asyncio.to_thread(jar.read_bytes)
    session = await bench.services.accounts.open_session(bench.viewer.user_id)
    headers = {"authorization": f"Bearer {session.access_token}", "graphql-require-preflight": "1"}
    transport = httpx.ASGITransport(app=application.asgi)
    operations = {"query": UPLOAD, "variables": {"i": {"name": values["functionName"], **values, "jar": None}}}
    form = {"operations": json.dumps(operations), "map": '{"0": ["variables.i.jar"]}'}
    async with httpx.AsyncClient(transport=transport, base_url="http://site", headers=headers) as http:
        response = await http.post("/graphql", data=form, files={"0": (jar.name, content)})
    await application.let_go()
    payload = response.json()["data"]["uploadUdf"]
    assert payload["errors"] == []
    udf: dict[str, str] = payload["udf"]
    return udf


async def ran(bench: Workbench, type_: TaskType, query: str, *udf_ids: str) -> TaskRun:
    playground = await bench.playground(new_id().hex)
    keys = [parse_global(each)[1] for each in udf_ids]
    task = TaskDraft(name="t", type=type_, query=query)
    await bench.services.tasks.create(bench.viewer, playground.id, task, udf_ids=[key for key in keys if key])
    async with WorkerProcess(bench.process).running():
        run = await bench.run(playground)
    return (await bench.task_runs(run))["t"]


async def rows_of(bench: Workbench, task_run: TaskRun) -> str:
    assert task_run.error_message is None
    pieces = [piece async for piece in bench.process.outputs.open(task_run.output_location or "")]
    return b"".join(pieces).decode()


async def test_a_hive_function_is_called_by_a_hive_task(bench: Workbench, udf_jar: Path) -> None:
    udf = await uploaded(bench, udf_jar, functionName="shout", className=HIVE_FUNCTION)
    assert udf["kind"] == "HIVE"
    query = "SELECT shout(city) AS loud FROM (SELECT 'Lyon' AS city UNION ALL SELECT CAST(NULL AS STRING)) c ORDER BY 1"
    task_run = await ran(bench, TaskType.HIVE, query, udf["id"])
    assert await rows_of(bench, task_run) == "loud\n\nLYON!\n"
    task_run = await ran(bench, TaskType.HIVE, "SELECT shout('a')")  # of a task that does not have it
    assert "shout" in (task_run.error_message or "")


SELECT = "SELECT shout('Lyon') AS loud, more(CAST(41 AS BIGINT)) AS more"


@pytest.mark.parametrize(
    ("type_", "text"),
    [(TaskType.SPARK_SQL, SELECT), (TaskType.PYSPARK, f'result = spark.sql("{SELECT}")')],
    ids=["SQL", "script"],
)
async def test_functions_of_both_kinds_are_called_by_spark_with_their_jar_in_a_bucket(
    s3_bench: Workbench, udf_jar: Path, type_: TaskType, text: str
) -> None:
    shout = await uploaded(s3_bench, udf_jar, functionName="shout", className=HIVE_FUNCTION)
    more = await uploaded(s3_bench, udf_jar, functionName="more", className=SPARK_FUNCTION, returnType="bigint")
    assert (shout["kind"], more["kind"]) == ("HIVE", "SPARK")
    task_run = await ran(s3_bench, type_, text, shout["id"], more["id"])
    assert await rows_of(s3_bench, task_run) == "loud,more\nLYON!,42\n"
    (cached,) = s3_bench.process.settings.udfs.cache_directory.glob("*.jar")
    assert cached.stem == (task_run.udfs or [])[0]["jar_sha256"]

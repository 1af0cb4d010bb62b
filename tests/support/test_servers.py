"""The tests' own servers are real, separate, and survive what a test does to them."""

import socket
from pathlib import Path

import redis.asyncio
from pyspark.sql import SparkSession
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.settings import Settings
from tests.support.java import HIVE_FUNCTION, SPARK_FUNCTION
from tests.support.mariadb import MariaDB
from tests.support.redis import RedisServer
from tests.support.spark import SparkServer


async def scalar(url: str, query: str) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text(query))).scalar_one()
    finally:
        await engine.dispose()


async def test_each_database_is_new_and_speaks_unicode(mariadb: MariaDB):
    first, second = mariadb.create_database(), mariadb.create_database()
    mariadb.execute("CREATE TABLE t (v VARCHAR(10)); INSERT INTO t VALUES ('👻')", database=first)

    assert await scalar(mariadb.url(first), "SELECT v FROM t") == "👻"
    assert (
        await scalar(
            mariadb.url(second), "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()"
        )
        == 0
    )


async def test_settings_reach_it_by_the_specifications_own_keys(mariadb: MariaDB):
    database = mariadb.create_database()
    env = {
        "DATA_PHANTOM__META_STORE__URL": mariadb.jdbc_url(database),
        "DATA_PHANTOM__META_STORE__USER": mariadb.user,
        "DATA_PHANTOM__META_STORE__PASSWORD": mariadb.password,
    }
    address = Settings.load(None, env).meta_store.address
    engine = create_async_engine(address.sqlalchemy_url(), connect_args=dict(address.connect_args))

    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT database(), @@character_set_client"))).one() == (
            database,
            "utf8mb4",
        )
    await engine.dispose()


async def test_what_was_committed_survives_a_kill(mariadb: MariaDB):
    database = mariadb.create_database()
    mariadb.execute("CREATE TABLE t (v INT); INSERT INTO t VALUES (42)", database=database)

    with mariadb.down():
        assert not mariadb.process.running

    assert await scalar(mariadb.url(database), "SELECT v FROM t") == 42


async def test_redis_loses_everything_when_it_is_flushed_or_stopped(redis_server: RedisServer):
    async with redis.asyncio.from_url(redis_server.url, decode_responses=True) as client:
        await client.set("k", "v")
        assert await client.get("k") == "v"
        redis_server.flush()
        assert await client.get("k") is None
        await client.set("k", "v")

    redis_server.stop()
    redis_server.start()

    async with redis.asyncio.from_url(redis_server.url) as client:
        assert await client.get("k") is None


def test_spark_speaks_both_protocols_and_runs_compiled_functions(spark_server: SparkServer, udf_jar: Path):
    spark = SparkSession.builder.remote(spark_server.connect_url).create()
    try:
        spark.sql(f"CREATE TEMPORARY FUNCTION shout AS '{HIVE_FUNCTION}' USING JAR '{udf_jar}'")
        spark.udf.registerJavaFunction("plus_one", SPARK_FUNCTION, "bigint")
        row = spark.sql("SELECT shout('spark') AS word, plus_one(41L) AS answer").first()
    finally:
        spark.stop()

    assert row is not None
    assert row.asDict() == {"word": "SPARK!", "answer": 42}
    socket.create_connection((spark_server.host, spark_server.hive_port), timeout=5).close()

"""The engines that the settings describe: servers first, the embedded ones for what no server speaks."""

import os
from collections.abc import Mapping

from app.domain.tasks import TaskType
from app.engines.base import Engine
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.engine import EmbeddedSqlEngine
from app.engines.embedded.pyspark import EmbeddedPysparkEngine
from app.engines.embedded.registered import RegisteredTable, TableFormat
from app.engines.hive.configured import hive_engine
from app.engines.mysql.connections import Validation
from app.engines.mysql.engine import MysqlEngine
from app.engines.presto.configured import presto_engines
from app.engines.spark.configured import spark_engines
from app.settings import MysqlConnectionSettings, Settings

SQL_TYPES = frozenset({TaskType.HIVE, TaskType.PRESTO, TaskType.SPARK_SQL, TaskType.MYSQL})


def configured_engines(settings: Settings, *, tables: Mapping[str, RegisteredTable]) -> list[Engine]:
    """In the order of preference: the first engine of a language is its default."""
    engines: list[Engine] = [
        _mysql(name, server, settings) for name, server in settings.connector.mysql_servers.items()
    ]
    engines += presto_engines(settings.connector)
    engines += [hive_engine(name, server) for name, server in settings.connector.hive_servers.items()]
    engines += spark_engines(settings.connector)
    if settings.connector.emr is not None:
        from app.engines.emr.configured import emr_engine  # noqa: PLC0415 - boto3 takes 0.2 s to import

        engines.append(emr_engine(settings.connector.emr))
    if settings.embedded_engine.enabled:
        spoken = {type_ for engine in engines for type_ in engine.types}
        engines += _embedded(settings, SQL_TYPES - spoken, tables)
    return engines


def _embedded(settings: Settings, types: frozenset[TaskType], tables: Mapping[str, RegisteredTable]) -> list[Engine]:
    section = settings.embedded_engine
    folder = section.directory.resolve()
    catalogue = Catalogue(
        root=folder / "tables",
        registered={
            **tables,
            **{
                name: RegisteredTable(
                    name=name,
                    path=table.path,
                    format=TableFormat(table.format),
                    null_values=table.null_values,
                    delimiter=table.delimiter,
                    header=table.header,
                )
                for name, table in section.tables.items()
            },
        },
    )
    cores = os.cpu_count() or 2
    return [
        EmbeddedSqlEngine(
            catalogue=catalogue,
            scratch=folder / "scratch",
            types=types,
            memory_limit_bytes=section.memory_limit,
            threads=section.threads or cores,
            max_parallel=cores * 2,
        ),
        EmbeddedPysparkEngine(
            catalogue=catalogue,
            scratch=folder / "scratch",
            remote=section.spark_remote,
            # Each script is a process of 150 MB, which computes by itself unless another's Spark does.
            capacity=max(2, cores) if section.spark_remote is None else cores * 4,
        ),
    ]


def _mysql(name: str, server: MysqlConnectionSettings, settings: Settings) -> MysqlEngine:
    address, metadata = server.address, settings.meta_store.address
    return MysqlEngine(
        name=name,
        host=address.host or "127.0.0.1",
        port=address.port or 3306,
        user=address.user or "",
        password=address.password or "",
        database=address.database,
        min_size=server.min_size,
        max_size=server.max_size,
        max_wait=server.max_wait_for_connection,
        max_idle=server.min_idle_time,
        max_age=server.max_connection_age,
        validation=Validation(
            query=server.validation_query,
            timeout=server.validation_query_timeout,
            on_borrow=server.check_connection_on_borrow,
            on_return=server.check_connection_on_return,
        ),
        read_only=not server.allow_writes,
        forbidden=None if metadata.is_sqlite else (metadata.host or "", metadata.port or 3306, metadata.database or ""),
    )

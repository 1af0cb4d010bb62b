"""The engines that live elsewhere: an EMR cluster, and the servers of each kind by their names."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from app.settings.aws_emr import AwsEmrSettings
from app.settings.database import DatabaseSettings
from app.settings.hive import DEFAULT_HIVE, HiveConnectionSettings
from app.settings.location import Location
from app.settings.permitted import Permitted
from app.settings.presto import PrestoConnectionSettings
from app.settings.section import Section, cross_fault
from app.settings.spark import DEFAULT_SPARK, SparkConnectionSettings

DEFAULT_MYSQL = "mysql"
DEFAULT_PRESTO = "presto"
DEFAULT_TRINO = "trino"


class MysqlConnectionSettings(DatabaseSettings):
    """A server that MYSQL tasks run on; unless writes are allowed, they read only."""

    output_directory: Location | None = None
    allow_writes: bool = Field(default=False, alias="allow_writes")

    @field_validator("url")
    @classmethod
    def _is_a_server(cls, url: object) -> object:
        if "sqlite" in str(url).partition(":")[0]:
            raise ValueError("SQLite is no server that MYSQL tasks can run on")
        return url


ConnectionName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$"),
    Permitted("a name of a-z, 0-9, _ and -, other than that of the kind itself"),
]


class ConnectorSettings(Section):
    aws_emr: AwsEmrSettings | None = None
    mysql: MysqlConnectionSettings | None = None
    mysql_connections: dict[ConnectionName, MysqlConnectionSettings] = Field(default_factory=dict)
    presto: PrestoConnectionSettings | None = None
    presto_connections: dict[ConnectionName, PrestoConnectionSettings] = Field(default_factory=dict)
    trino: PrestoConnectionSettings | None = None
    trino_connections: dict[ConnectionName, PrestoConnectionSettings] = Field(default_factory=dict)
    hive: HiveConnectionSettings | None = None
    hive_connections: dict[ConnectionName, HiveConnectionSettings] = Field(default_factory=dict)
    spark: SparkConnectionSettings | None = None
    spark_connections: dict[ConnectionName, SparkConnectionSettings] = Field(default_factory=dict)

    @field_validator("mysql_connections")
    @classmethod
    def _default_has_its_place(cls, value: dict[str, MysqlConnectionSettings]) -> dict[str, MysqlConnectionSettings]:
        if DEFAULT_MYSQL in value:
            raise ValueError("the connection named mysql is connector.mysql itself; give this one another name")
        return value

    @field_validator("hive_connections")
    @classmethod
    def _default_hive_has_its_place(cls, value: dict[str, HiveConnectionSettings]) -> dict[str, HiveConnectionSettings]:
        if DEFAULT_HIVE in value:
            raise ValueError("the connection named hive is connector.hive itself; give this one another name")
        return value

    @field_validator("spark_connections")
    @classmethod
    def _default_spark_has_its_place(
        cls, value: dict[str, SparkConnectionSettings]
    ) -> dict[str, SparkConnectionSettings]:
        if DEFAULT_SPARK in value:
            raise ValueError("the connection named spark is connector.spark itself; give this one another name")
        return value

    @property
    def emr(self) -> AwsEmrSettings | None:
        """The cluster, where somebody has configured one."""
        return None if self.aws_emr is None or self.aws_emr.is_placeholder else self.aws_emr

    @property
    def mysql_servers(self) -> Mapping[str, MysqlConnectionSettings]:
        """Every configured server by the name that a task's `connection` gives; `mysql` is the default one."""
        named = {DEFAULT_MYSQL: self.mysql} if self.mysql else {}
        return {name: server for name, server in (named | self.mysql_connections).items() if not server.is_placeholder}

    @property
    def presto_servers(self) -> Mapping[str, PrestoConnectionSettings]:
        """Every configured Presto server by the name that a task's `connection` gives."""
        return ({DEFAULT_PRESTO: self.presto} if self.presto else {}) | self.presto_connections

    @property
    def trino_servers(self) -> Mapping[str, PrestoConnectionSettings]:
        """Every configured Trino server by the name that a task's `connection` gives."""
        return ({DEFAULT_TRINO: self.trino} if self.trino else {}) | self.trino_connections

    @property
    def hive_servers(self) -> Mapping[str, HiveConnectionSettings]:
        """Every HiveServer2 by the name that a task's `connection` gives; `hive` is the default one."""
        return ({DEFAULT_HIVE: self.hive} if self.hive else {}) | self.hive_connections

    @property
    def spark_servers(self) -> Mapping[str, SparkConnectionSettings]:
        """Every Spark by the name that a task's `connection` gives; `spark` is the default one."""
        return ({DEFAULT_SPARK: self.spark} if self.spark else {}) | self.spark_connections

    @model_validator(mode="after")
    def _names_of_presto_tasks_are_one_s(self) -> "ConnectorSettings":
        """PRESTO tasks run on either, so a name must tell which."""
        for key, taken in (
            ("presto_connections", {DEFAULT_PRESTO, DEFAULT_TRINO}),
            ("trino_connections", {DEFAULT_PRESTO, DEFAULT_TRINO, *self.presto_connections}),
        ):
            for name in getattr(self, key):
                if name in taken:
                    raise cross_fault(key, f"the name {name} is another connection's; give this one another name")
        return self

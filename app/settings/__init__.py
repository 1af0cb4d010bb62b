"""The settings: one YAML file, `${VAR:default}` inside it, and an environment that wins over both."""

from app.settings.aws_emr import AwsEmrSettings
from app.settings.concurrency import ConcurrencySettings
from app.settings.connector import ConnectorSettings, MysqlConnectionSettings
from app.settings.database import DatabaseAddress, DatabaseSettings, MetaStoreSettings
from app.settings.embedded import EmbeddedSettings, TableFormat, TableSettings
from app.settings.faults import SettingsError, SettingsFault
from app.settings.graphql import GraphqlSettings
from app.settings.hive import HiveAuthentication, HiveConnectionSettings
from app.settings.jwt import JwtSettings
from app.settings.log import LogFormat, LogLevel, LogSettings
from app.settings.outputs import OutputsSettings
from app.settings.presto import PrestoConnectionSettings
from app.settings.reconciliation import ReconciliationSettings
from app.settings.redis import RedisSettings
from app.settings.server import HttpConnectorSettings, ServerSettings
from app.settings.settings import Settings
from app.settings.spark import SparkConnectionSettings
from app.settings.web import WebSettings
from app.settings.worker import WorkerSettings

__all__ = [
    "AwsEmrSettings",
    "ConcurrencySettings",
    "ConnectorSettings",
    "DatabaseAddress",
    "DatabaseSettings",
    "EmbeddedSettings",
    "GraphqlSettings",
    "HiveAuthentication",
    "HiveConnectionSettings",
    "HttpConnectorSettings",
    "JwtSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "MetaStoreSettings",
    "MysqlConnectionSettings",
    "OutputsSettings",
    "PrestoConnectionSettings",
    "ReconciliationSettings",
    "RedisSettings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "SettingsFault",
    "SparkConnectionSettings",
    "TableFormat",
    "TableSettings",
    "WebSettings",
    "WorkerSettings",
]

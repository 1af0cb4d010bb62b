"""The tree of all settings, and the two ways to come by one: from a file, or embedded in a data folder."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError

from app.settings.concurrency import ConcurrencySettings
from app.settings.connector import ConnectorSettings
from app.settings.database import MetaStoreSettings
from app.settings.diagnosis import diagnose
from app.settings.document import Tree, fill, read_document
from app.settings.embedded import EmbeddedSettings
from app.settings.embedded_defaults import embedded_defaults, kept_secret
from app.settings.environment import overlay
from app.settings.faults import Path, SettingsError, SettingsFault, path_text
from app.settings.graphql import GraphqlSettings
from app.settings.jwt import JwtSettings
from app.settings.log import LogSettings
from app.settings.outputs import OutputsSettings
from app.settings.production import production_faults, remarks
from app.settings.reconciliation import ReconciliationSettings
from app.settings.redis import DEFAULT_REDIS, RedisSettings
from app.settings.retention import RetentionSettings
from app.settings.secret_url import SecretUrl
from app.settings.section import Section
from app.settings.server import ServerSettings
from app.settings.udfs import UdfSettings
from app.settings.web import WebSettings
from app.settings.worker import WorkerSettings


class Settings(Section):
    """One process's settings; frozen, and checked as a whole."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    meta_store: MetaStoreSettings
    jwt: JwtSettings = Field(default_factory=JwtSettings)
    concurrency_config: ConcurrencySettings = Field(default_factory=ConcurrencySettings)
    reconciliation_settings: ReconciliationSettings = Field(default_factory=ReconciliationSettings)
    connector: ConnectorSettings = Field(default_factory=ConnectorSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    outputs: OutputsSettings = Field(default_factory=OutputsSettings)
    udfs: UdfSettings = Field(default_factory=UdfSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    # The key is `embedded`; the attribute leaves that name to the constructor below.
    embedded_engine: EmbeddedSettings = Field(default_factory=EmbeddedSettings, alias="embedded")
    graphql: GraphqlSettings = Field(default_factory=GraphqlSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @classmethod
    def load(cls, path: FilePath | None, env: Mapping[str, str]) -> Self:
        """Read the file, if any, with the environment over it. Raises: SettingsError, with every fault."""
        defaults: Tree = {"meta_store": {}, "redis": {"url": DEFAULT_REDIS}}
        return cls._checked(merge(defaults, read_document(path) if path else {}), env)

    @classmethod
    def embedded(
        cls,
        data_dir: FilePath,
        *,
        env: Mapping[str, str],
        port: int = 9092,
        health_port: int | None = None,
        path: FilePath | None = None,
    ) -> Self:
        """Everything in one data folder, with nothing to configure; a file and the environment still win.

        `health_port` is `port + 1` where it is not given. Raises: SettingsError; OSError where the folder cannot be
        written.
        """
        folder = data_dir.expanduser().absolute()
        defaults = embedded_defaults(folder, port=port, health_port=health_port)
        settings = cls._checked(merge(defaults, read_document(path) if path else {}), env)
        if not settings.jwt.is_default:
            return settings
        jwt = settings.jwt.model_copy(update={"secret_key": SecretStr(kept_secret(folder))})
        return settings.model_copy(update={"jwt": jwt})

    def check_production(self) -> None:
        """Refuse what must not serve others: a known or short secret, example passwords. Raises: SettingsError."""
        faults = production_faults(jwt=self.jwt, meta_store=self.meta_store, redis=self.redis)
        if faults:
            raise SettingsError(faults)

    def remarks(self) -> tuple[str, ...]:
        """What is permitted and still worth a look, in sentences."""
        return remarks(
            meta_store=self.meta_store,
            connector=self.connector,
            false_positive_rate=self.reconciliation_settings.false_positive_rate,
        )

    def describe(self) -> dict[str, Any]:
        """The whole tree by the file's own keys, secrets masked: fit for JSON, YAML and a terminal."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def with_redis(self, url: str) -> Self:
        """The same settings with another Redis: the one that the embedded mode has started."""
        return self.model_copy(update={"redis": RedisSettings(url=SecretUrl(url))})

    @property
    def redis_url(self) -> str:
        """The URL with its password, for clients."""
        return (self.redis.url or SecretUrl(DEFAULT_REDIS)).get_secret_value()

    @classmethod
    def _checked(cls, tree: Tree, env: Mapping[str, str]) -> Self:
        laid = overlay(tree, env, cls)
        filled = fill(tree, env)
        faults: dict[Path, SettingsFault] = dict(filled.faults)
        try:
            settings = cls.model_validate(filled.tree, by_alias=True, by_name=False)
        except ValidationError as error:
            for path, fault in diagnose(cls, error, filled.sources | laid.sources):
                faults.setdefault(path, fault)
        else:
            faults |= _missing_tables(settings) | _missing_bucket(settings)
        if faults or laid.faults:
            raise SettingsError([*laid.faults, *faults.values()])
        return settings


def merge(below: Tree, above: Tree) -> Tree:
    """The upper tree laid over the lower; lists and single values are replaced, sections are merged."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        if value is not None:  # `redis:` with nothing below it says nothing
            merged[key] = merge(lower, value) if isinstance(lower, dict) and isinstance(value, dict) else value
    return merged


def _missing_tables(settings: Settings) -> dict[Path, SettingsFault]:
    """Tables of the embedded engine whose files are not there."""
    engine = settings.embedded_engine
    paths = {("embedded", "tables", name, "path"): table for name, table in engine.tables.items() if engine.enabled}
    return {
        path: SettingsFault(
            path=path_text(path), problem="there is no such file or folder", value=repr(str(table.path))
        )
        for path, table in paths.items()
        if table.missing()
    }


def _missing_bucket(settings: Settings) -> dict[Path, SettingsFault]:
    """Outputs that are to be in S3, and nothing says in which bucket."""
    section = settings.outputs.bucket(settings.connector.emr)
    if section is None or section.bucket is not None:
        return {}
    path: Path = ("outputs", "s3", "bucket")
    problem = "outputs are kept in S3, and neither this nor connector.aws_emr names a bucket"
    return {path: SettingsFault(path=path_text(path), problem=problem)}

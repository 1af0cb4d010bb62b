"""What a laptop may have and a production must not: known secrets, examples as passwords, no queue of its own."""

from app.settings.connector import DEFAULT_MYSQL, ConnectorSettings
from app.settings.database import DatabaseSettings, MetaStoreSettings
from app.settings.faults import SettingsFault
from app.settings.hive import DEFAULT_HIVE
from app.settings.jwt import MIN_SECRET_BYTES, JwtSettings
from app.settings.redis import RedisSettings
from app.settings.secret_url import MASK

_HIGH_ERROR_RATE = 0.1


def production_faults(*, jwt: JwtSettings, meta_store: MetaStoreSettings, redis: RedisSettings) -> list[SettingsFault]:
    """Why these settings must not serve others than the person who started them."""
    faults = []
    if weakness := jwt.weakness():
        permitted = f"at least {MIN_SECRET_BYTES} random bytes, such as `openssl rand -base64 48` prints"
        faults.append(SettingsFault(path="jwt.secretKey", value=MASK, problem=weakness, permitted=permitted))
    if meta_store.is_placeholder:
        problem = "the database or its password is the example of the documentation"
        faults.append(SettingsFault(path="meta_store", problem=problem, permitted="your own"))
    if redis.url is None:
        problem = "only the embedded mode starts a server of its own"
        faults.append(SettingsFault(path="redis.url", problem=problem, permitted="redis://host:6379/0"))
    return faults


def remarks(
    *, meta_store: MetaStoreSettings, connector: ConnectorSettings, false_positive_rate: float
) -> tuple[str, ...]:
    """What is permitted and still worth a look."""
    found = []
    if meta_store.address.is_sqlite:
        found.append("meta_store is SQLite: enough for one machine; several machines want MariaDB or MySQL.")
    if connector.aws_emr and connector.aws_emr.is_placeholder:
        found.append("connector.aws_emr has the documentation's example values: no cluster is configured.")
    databases: dict[str, DatabaseSettings] = {"meta_store": meta_store}
    if connector.mysql:
        databases["connector.mysql"] = connector.mysql
    databases |= {f"connector.mysql_connections.{name}": server for name, server in connector.mysql_connections.items()}
    for path, database in databases.items():
        if path != "meta_store" and database.is_placeholder:
            name = path.rpartition(".")[2]
            what = "no default server" if name == DEFAULT_MYSQL else "no such server"
            found.append(f"{path} has the documentation's example values: {what} is configured.")
        found += _java_alone(path, database.unused_options)
    for name, server in connector.hive_servers.items():
        path = "connector.hive" if name == DEFAULT_HIVE else f"connector.hive_connections.{name}"
        found += _java_alone(path, server.unused_options)
    if false_positive_rate >= _HIGH_ERROR_RATE:
        found.append(
            f"reconciliation_settings.false_positive_rate is {false_positive_rate:g}: results are exact all the same, "
            "but 0.01 leaves fewer candidates to verify."
        )
    return tuple(found)


def _java_alone(path: str, options: tuple[str, ...]) -> list[str]:
    if not options:
        return []
    return [f"{path}.url has options that concern Java alone and change nothing here: {', '.join(options)}."]

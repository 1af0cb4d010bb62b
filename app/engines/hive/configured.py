"""The Hive engine of a connection in the settings."""

from app.engines.hive.engine import HiveEngine
from app.engines.hive.transport import HiveAddress, HiveAuth
from app.settings import HiveConnectionSettings


def hive_engine(name: str, server: HiveConnectionSettings) -> HiveEngine:
    url = server.address
    user, password = server.account
    return HiveEngine(
        name=name,
        address=HiveAddress(
            host=url.host,
            port=url.port,
            database=url.database,
            user=user,
            password=password,
            auth=HiveAuth(server.authentication),
            kerberos_service=server.kerberos_service,
            http_path=server.http_path,
            tls=server.uses_tls,
            ca_certificate=None if server.ca_certificate is None else str(server.ca_certificate),
            verify_certificate=server.verify_certificate,
        ),
        session_settings=server.session_settings,
        max_size=server.max_size,
        max_wait=server.max_wait_for_connection,
        max_idle=server.min_idle_time,
    )

"""JDBC and SQLAlchemy URLs, and what their options mean to the driver."""

import ssl

import pytest
from pydantic import SecretStr

from app.settings import MetaStoreSettings
from app.settings.database import read_address
from app.settings.secret_url import SecretUrl


def address(url: str, user: str | None = None, password: str | None = None):
    return read_address(url, user=user, password=SecretStr(password) if password else None)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("jdbc:mariadb://host:3307/db", ("mariadb+asyncmy", "host", 3307, "db")),
        ("jdbc:mysql://host/db?x=y", ("mysql+asyncmy", "host", 3306, "db")),
        ("jdbc:mysql://[::1]:3306/db", ("mysql+asyncmy", "::1", 3306, "db")),
        ("jdbc:mariadb://host", ("mariadb+asyncmy", "host", 3306, None)),
        ("jdbc:mariadb://host/a%20b", ("mariadb+asyncmy", "host", 3306, "a b")),
        ("mariadb://host/db", ("mariadb+asyncmy", "host", None, "db")),
        ("mysql+asyncmy://host:1/db", ("mysql+asyncmy", "host", 1, "db")),
        ("sqlite+aiosqlite:////var/a b.db", ("sqlite+aiosqlite", None, None, "/var/a b.db")),
        ("sqlite:///x.db", ("sqlite+aiosqlite", None, None, "x.db")),
    ],
)
def test_a_url_is_read(url: str, parts: tuple[object, ...]):
    made = address(url).sqlalchemy_url()

    assert (made.drivername, made.host, made.port, made.database) == parts


@pytest.mark.parametrize(
    "url",
    [
        "jdbc:oracle:thin:@host",
        "jdbc:mariadb://host:99999/db",
        "jdbc:mariadb:///db",
        "jdbc:mariadb://one,two/db",
        "jdbc:mysql:replication://one/db",
        "jdbc:mysql://h/x?connectTimeout=soon",
        "jdbc:mysql://h/x?sslMode=verify-ca&serverSslCert=/does/not/exist.pem",
        "postgresql://host/db",
        "nonsense",
        "",
        "mysql+asyncmy://h:port/x",
    ],
)
def test_a_url_that_cannot_be_served_is_refused(url: str):
    with pytest.raises(ValueError, match=r"^(a JDBC URL|it |its |this |several )"):
        address(url)


def test_every_character_of_a_password_survives():
    made = address("jdbc:mysql://h/x", "u:s@r", "p@ss/w#r?d%41").sqlalchemy_url()

    assert (made.username, made.password) == ("u:s@r", "p@ss/w#r?d%41")


def test_credentials_of_the_settings_win_over_those_of_the_url():
    by_url = address("jdbc:mysql://h/x?user=a&password=b").sqlalchemy_url()
    by_settings = address("jdbc:mysql://h/x?user=a&password=b", "c", "d").sqlalchemy_url()

    assert (by_url.username, by_url.password) == ("a", "b")
    assert (by_settings.username, by_settings.password) == ("c", "d")


def test_the_connection_speaks_four_byte_unicode():
    assert address("jdbc:mysql://h/x").sqlalchemy_url().query == {"charset": "utf8mb4"}


def test_options_mean_the_same_to_the_driver():
    arguments = address("jdbc:mysql://h/x?connectTimeout=1500&socketTimeout=2000&localSocket=/run/s").connect_args

    assert arguments == {"connect_timeout": 1.5, "read_timeout": 2, "unix_socket": "/run/s"}


@pytest.mark.parametrize(
    ("options", "verified", "named"),
    [
        ("sslMode=trust", False, False),
        ("sslMode=REQUIRED", False, False),
        ("sslMode=verify-ca", True, False),
        ("sslMode=VERIFY_IDENTITY", True, True),
        ("sslMode=verify-full", True, True),
        ("useSSL=true", False, False),
        ("useSSL=true&verifyServerCertificate=true", True, False),
    ],
)
def test_tls_is_as_strict_as_asked_for(options: str, verified: bool, named: bool):
    context = address(f"jdbc:mysql://h/x?{options}").connect_args["ssl"]

    assert context.verify_mode is (ssl.CERT_REQUIRED if verified else ssl.CERT_NONE)
    assert context.check_hostname is named


@pytest.mark.parametrize("options", ["", "useSSL=false", "sslMode=DISABLED", "sslMode=disable&useSSL=true"])
def test_no_tls_where_none_is_asked_for(options: str):
    assert "ssl" not in address(f"jdbc:mysql://h/x?{options}").connect_args


def test_options_for_java_alone_are_named():
    database = MetaStoreSettings(url=SecretUrl("jdbc:mysql://h/x?useUnicode=true&user=u&sslMode=trust"))

    assert database.unused_options == ("useunicode",)

"""What a MySQL connection refuses to run: writes where it is read-only, and the platform's own metadata everywhere.

Read-only is enforced by the server: every statement runs in a READ ONLY transaction of a READ ONLY session (see
mysql_job). What could end such a transaction, or works outside transactions, is refused here by its first word. The
metadata database is looked for in the raw text, without trusting any parser to part text from comments as the server
does, so that a query is rather refused once too often.
"""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass

from app.engines.base import TerminalEngineError
from app.engines.mysql.statements import Statement

_READING = {
    "",  # starts with a parenthesis
    "SELECT",
    "WITH",
    "VALUES",
    "TABLE",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "EXPLAIN",
    "CHECKSUM",
    "HELP",
    "DO",
    "SET",
    "USE",
}
# Said to be refused; any other word starts no statement at all.
_OTHER_STATEMENTS = re.compile(
    r"ALTER|ANALYZE|BACKUP|BEGIN|BINLOG|CACHE|CALL|CASE|CHANGE|CHECK|CLONE|COMMIT|CREATE|DEALLOCATE|DELETE|"
    r"DROP|EXECUTE|FLUSH|FOR|GET|GRANT|HANDLER|IF|IMPORT|INSERT|INSTALL|KILL|LOAD|LOCK|LOOP|OPTIMIZE|"
    r"PREPARE|PURGE|RELEASE|RENAME|REPAIR|REPEAT|REPLACE|RESET|RESIGNAL|RESTART|REVOKE|ROLLBACK|SAVEPOINT|"
    r"SHUTDOWN|SIGNAL|START|STOP|TRUNCATE|UNINSTALL|UNLOCK|UPDATE|WHILE|XA"
)
_SETS_MORE_THAN_THE_SESSION = re.compile(r"\b(?:GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|ROLE|STATEMENT)\b", re.IGNORECASE)
_INTO_FILE = re.compile(r"\bINTO\b.{0,200}?\b(?:OUTFILE|DUMPFILE)\b", re.IGNORECASE | re.DOTALL)
_EXECUTABLE_COMMENT = re.compile(r"/\*M?!")
_DYNAMIC = re.compile(r"\b(?:PREPARE|IMMEDIATE)\b", re.IGNORECASE)
_QUERIES = {"", "SELECT", "WITH", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE", "DO", "SET"}
# What may stand between a database's name and the dot: blanks, quotes, comments.
_BETWEEN = r"""(?:[\s`"]|/\*.*?\*/|--[^\n]*\n|\#[^\n]*\n)*"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Where the platform's own database is."""

    host: str
    port: int
    database: str


class StatementGuard:
    """Decides by a statement's text; `metadata` is set where the platform's own database is on the same server."""

    def __init__(self, *, connection: str, read_only: bool, metadata: Metadata | None) -> None:
        self._connection = connection
        self._read_only = read_only
        self._metadata = None if metadata is None else metadata.database
        if self._metadata is not None:
            name = rf"(?<![\w$]){re.escape(self._metadata)}(?![\w$])"
            self._named = re.compile(name, re.IGNORECASE)
            self._qualifies = re.compile(name + _BETWEEN + r"\.", re.IGNORECASE | re.DOTALL)

    @property
    def read_only(self) -> bool:
        return self._read_only

    @property
    def guards_metadata(self) -> bool:
        return self._metadata is not None

    def check_database(self, database: str | None) -> None:
        """Refuse a current database that is the platform's own.

        Raises: TerminalEngineError with code FORBIDDEN.
        """
        if self._metadata is not None and database is not None and database.lower() == self._metadata.lower():
            raise TerminalEngineError(
                f"The connection {self._connection!r} points at {database!r}, the platform's own metadata database,"
                " which tasks may not use. Give the connection another database in the settings.",
                code="FORBIDDEN",
            )

    def check(self, statement: Statement) -> None:
        """Refuse the statement before the server sees it.

        Raises: TerminalEngineError with code READ_ONLY or FORBIDDEN.
        """
        if (self._read_only or self.guards_metadata) and _EXECUTABLE_COMMENT.search(statement.text):
            raise TerminalEngineError(
                "Comments that the server executes (/*! … */) are not taken here; write the text without the comment.",
                code="READ_ONLY" if self._read_only else "FORBIDDEN",
            )
        if self._read_only:
            self._check_reading(statement)
        if self._metadata is not None:
            self._check_metadata(statement)

    def _check_reading(self, statement: Statement) -> None:
        refused = None
        if statement.keyword not in _READING:
            if not _OTHER_STATEMENTS.fullmatch(statement.keyword):
                raise TerminalEngineError(f"No statement starts with {statement.keyword}.", code="SYNTAX")
            refused = statement.keyword
        elif _INTO_FILE.search(statement.text):
            refused = "INTO OUTFILE"
        elif statement.keyword == "SET" and (more := _SETS_MORE_THAN_THE_SESSION.search(statement.bare)):
            refused = f"SET {more[0].upper()}"
        if refused is not None:
            raise TerminalEngineError(
                f"The connection {self._connection!r} is read-only: it takes no {refused}. Where tasks shall write,"
                " set read_only: false for this connection in the settings.",
                code="READ_ONLY",
            )

    def _check_metadata(self, statement: Statement) -> None:
        pattern = self._qualifies if statement.keyword in _QUERIES else self._named
        if pattern.search(statement.text):
            raise TerminalEngineError(
                f"The query names {self._metadata!r}, the platform's own metadata database, which tasks may not use.",
                code="FORBIDDEN",
            )
        if statement.keyword == "EXECUTE" or (statement.keyword not in _QUERIES and _DYNAMIC.search(statement.bare)):
            raise TerminalEngineError(
                "Text that becomes a statement only in the server (PREPARE, EXECUTE) is not taken on the server that"
                " holds the platform's own metadata; write the statement itself.",
                code="FORBIDDEN",
            )


async def same_server(host: str, port: int, other_host: str, other_port: int) -> bool:
    """Whether both are one server; every name and address of this machine counts as one."""
    if port != other_port:
        return False
    if host.lower() == other_host.lower():
        return True
    local = await _addresses(socket.gethostname())
    own, others = await _addresses(host), await _addresses(other_host)
    here = [any(_is_loopback(address) or address in local for address in side) for side in (own, others)]
    return bool(own & others) or all(here)


async def _addresses(host: str) -> frozenset[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:  # connecting will tell
        return frozenset()
    return frozenset(str(entry[4][0]) for entry in found)


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback or parsed.is_unspecified

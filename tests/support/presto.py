"""A server of the statement protocol over DuckDB, in threads of this process, which can be told to misbehave."""

import re
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Condition, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, quote, unquote_plus, urlsplit

import duckdb
import orjson
import sqlglot

from tests.support.presto_json import column_of, plain
from tests.support.processes import free_port

ROWS_A_PAGE = 5_000
_AS_THEY_ARE = {"bigint", "integer", "varchar"}
_SET = re.compile(r"SET\s+SESSION\s+([\w.]+)\s*=\s*(.+)", re.IGNORECASE | re.DOTALL)
_RESET = re.compile(r"RESET\s+SESSION\s+([\w.]+)", re.IGNORECASE)
_USE = re.compile(r"USE\s+(?:(\w+)\.)?(\w+)", re.IGNORECASE)
_PREPARE = re.compile(r"PREPARE\s+(\w+)\s+FROM\s+(.+)", re.IGNORECASE | re.DOTALL)
_DEALLOCATE = re.compile(r"DEALLOCATE\s+PREPARE\s+(\w+)", re.IGNORECASE)
_EXECUTE = re.compile(r"EXECUTE\s+(\w+)(?:\s+USING\s+(.+))?", re.IGNORECASE | re.DOTALL)
_UPDATES = re.compile(r"(CREATE\s+TABLE|DROP\s+TABLE|INSERT|DELETE|UPDATE)\b", re.IGNORECASE)


@dataclass(kw_only=True)
class Fault:
    """What becomes of the next `times` requests by that method: an error's status, a cut connection, or a wait.

    `after`: the request does its work all the same, and only the answer is lost.
    """

    method: str = "GET"
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    seconds: float = 0.0


class Failed(Exception):  # noqa: N818 - the protocol's word for the state
    """A query's error as the protocol has it."""

    def __init__(self, message: str, *, name: str, kind: str = "USER_ERROR", place: tuple[int, int] | None = None):
        super().__init__(message)
        self.error: dict[str, Any] = {"message": message, "errorCode": 1, "errorName": name, "errorType": kind}
        if place:
            self.error["errorLocation"] = {"lineNumber": place[0], "columnNumber": place[1]}


class Query:
    """One statement: begun by the first question for a page, and pages that can be had twice and no more."""

    def __init__(self, *, id: str, text: str, headers: Mapping[str, str], database: duckdb.DuckDBPyConnection) -> None:
        self.id = id
        self.text = text
        self.headers = headers
        self.state = "QUEUED"
        self.error: Mapping[str, Any] | None = None
        self.changes: dict[str, str] = {}
        self.update: tuple[str, int | None] | None = None
        self.columns: list[Mapping[str, Any]] | None = None
        self._cursor = database.cursor()
        self._news = Condition()
        self._begun = False
        self._asked = 0
        self._page: dict[str, Any] = {}
        self._drained = False

    def page(self, token: int, wait: float, planned: Callable[["Query"], None]) -> dict[str, Any] | None:
        """The page with that number; None where it is gone, or not the next one."""
        with self._news:
            if token == self._asked and self._page:
                return self._page
            if token != self._asked + 1:
                return None
            self._asked = token
            if not self._begun:
                self._begun = True
                Thread(target=self._run, args=(planned,), daemon=True).start()
                self._page = self._answer()
                return self._page
            self._news.wait_for(lambda: self.state not in {"QUEUED", "PLANNING", "RUNNING"} or self.columns, wait)
            self._page = self._answer()
            return self._page

    def cancel(self) -> None:
        with self._news:
            if self.state not in {"FINISHED", "FAILED"}:
                self._fail(Failed("Query was canceled", name="USER_CANCELED"))
        self._cursor.interrupt()

    def _answer(self) -> dict[str, Any]:
        rows: list[Any] = []
        if self.columns is not None and self.state != "FAILED" and self.update is None and not self._drained:
            rows = self._cursor.fetchmany(ROWS_A_PAGE)
            self._drained = len(rows) < ROWS_A_PAGE
            if self._drained:
                self.state = "FINISHED"
        over = self.state in {"FINISHED", "FAILED"} and not rows
        answer: dict[str, Any] = {"columns": self.columns, "data": self._plain(rows)}
        if self.update is not None:
            answer |= {"updateType": self.update[0], "updateCount": self.update[1], "data": [[self.update[1]]]}
        if self.error is not None:
            answer = {"error": self.error}
        return answer | {"state": self.state, "over": over}

    def _plain(self, rows: list[Any]) -> list[Any]:
        if all(column["type"] in _AS_THEY_ARE for column in self.columns or ()):
            return rows
        return [[plain(cell) for cell in row] for row in rows]

    def _run(self, planned: Callable[["Query"], None]) -> None:
        try:
            planned(self)
            self._session_or_query()
        except Failed as failed:
            failure = failed
        except sqlglot.errors.ParseError as error:
            line, column = error.errors[0]["line"], error.errors[0]["col"]
            words = f"line {line}:{column}: {error.errors[0]['description']}"
            failure = Failed(words, name="SYNTAX_ERROR", place=(line, column))
        except duckdb.CatalogException as error:
            failure = Failed(f"line 1:15: {error}", name="TABLE_NOT_FOUND", place=(1, 15))
        except duckdb.Error as error:
            failure = Failed(str(error), name="GENERIC_USER_ERROR")
        else:
            return
        with self._news:
            if self.state != "FAILED":
                self._fail(failure)

    def _fail(self, failure: Failed) -> None:
        self.state, self.error = "FAILED", failure.error
        self._news.notify_all()

    def _session_or_query(self) -> None:
        text = self.text.strip()
        if found := _EXECUTE.fullmatch(text):
            text = self._prepared(found[1], found[2])
        for pattern, change in (
            (_SET, lambda found: ("Set-Session", f"{found[1]}={quote(found[2].strip(chr(39)), safe='')}")),
            (_RESET, lambda found: ("Clear-Session", found[1])),
            (_PREPARE, lambda found: ("Added-Prepare", f"{found[1]}={quote(found[2], safe='')}")),
            (_DEALLOCATE, lambda found: ("Deallocated-Prepare", found[1])),
            (_USE, lambda found: ("Set-Schema", found[2])),
        ):
            if found := pattern.fullmatch(text):
                self._enter("RUNNING")
                self.changes = dict([change(found)])
                if pattern is _USE and found[1]:
                    self.changes["Set-Catalog"] = found[1]
                self._enter("FINISHED", update=(text.split()[0].upper(), None))
                return
        translated = sqlglot.transpile(text, read="trino", write="duckdb")[0]
        self._enter("RUNNING")
        self._cursor.execute(translated)
        if found := _UPDATES.match(text):
            result = self._cursor.fetchone()
            self._enter("FINISHED", update=(" ".join(found[1].upper().split()), result[0] if result else None))
            return
        self.columns = [column_of(name, str(type_)) for name, type_, *_rest in self._cursor.description]
        self._enter("RUNNING")

    def _enter(self, state: str, *, update: tuple[str, int | None] | None = None) -> None:
        with self._news:
            if self.state == "FAILED":
                return
            self.state = state
            if update is not None:
                self.update = update
                self.columns = [column_of("rows", "BIGINT")]
            self._news.notify_all()

    def _prepared(self, name: str, values: str | None) -> str:
        pairs = dict(pair.split("=") for pair in self.headers.get("prepared-statement", "").split(",") if pair)
        if name not in pairs:
            raise Failed(f"Prepared statement not found: {name}", name="NOT_FOUND")
        text = unquote_plus(pairs[name])
        for value in values.split(",") if values else ():
            text = text.replace("?", value.strip(), 1)
        return text


class PrestoServer:
    """Speaks as Presto to whom asks with Presto's headers, and as Trino to whom asks with Trino's."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.queries: dict[str, Query] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []  # method and path
        self.plan_seconds = 0.0
        self.password: str | None = None
        self.starting = False
        self.fail_with: Failed | None = None  # what the next query that is begun fails with
        self.warnings: list[Mapping[str, Any]] = []
        self._lock = Lock()
        self._database = duckdb.connect(":memory:", config={"threads": 2, "memory_limit": "200MB"})
        self._http = _Listener(("127.0.0.1", self.port), self._handler())
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        for query in self.queries.values():
            query.cancel()
        self._http.shutdown()
        self._http.server_close()

    def restart(self) -> None:
        """Forget every query, as a coordinator does that was started again."""
        for query in self.queries.values():
            query.cancel()
        self.queries.clear()

    def told(self) -> list[Mapping[str, str]]:
        """What it tells of its queries to who watches it."""
        return [{"queryId": query.id, "query": query.text, "state": query.state} for query in self.queries.values()]

    @contextmanager
    def misbehaving(self, *faults: Fault) -> Iterator[None]:
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    def planned(self, query: Query) -> None:
        query._enter("PLANNING")
        time.sleep(self.plan_seconds)
        failure, self.fail_with = self.fail_with, None
        if failure is not None:
            raise failure

    def fault_for(self, method: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.method == method and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def new_query(self, text: str, headers: Mapping[str, str]) -> Query:
        with self._lock:
            id_ = f"20260105_000000_{len(self.queries):05}_tests"
            query = self.queries[id_] = Query(id=id_, text=text, headers=headers, database=self._database)
            return query

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(_Handler):
            presto = server

        return Handler


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # who has asked may be gone when the answer is there
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the acknowledgement of its headers
    wbufsize = -1  # one write for each answer
    presto: PrestoServer

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle(self._get)

    def do_POST(self) -> None:
        self._handle(self._post)

    def do_DELETE(self) -> None:
        self._handle(self._delete)

    def _handle(self, act: Callable[[], None]) -> None:
        self.presto.requests.append((self.command, urlsplit(self.path).path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._text = body.decode()
        fault = self.presto.fault_for(self.command)
        if fault is None:
            act()
            return
        time.sleep(fault.seconds)
        if fault.status is not None:
            self._send(fault.status, {}, fault.headers)
        elif fault.seconds:
            act()
        else:
            wire, self.wfile = self.wfile, BytesIO()
            if fault.after:
                act()
            self.wfile = wire
            self.close_connection = True

    @property
    def _family(self) -> str:
        return "Trino" if "X-Trino-User" in self.headers else "Presto"

    def _post(self) -> None:
        if self.presto.password is not None and not self._is_known():
            self._send(401, {"words": "Unauthorized"})
            return
        prefix = f"x-{self._family}-".lower()
        headers = {name.lower().removeprefix(prefix): value for name, value in self.headers.items()}
        query = self.presto.new_query(self._text, headers)
        self._send_page(query, 0, {"state": "QUEUED", "over": False})

    def _is_known(self) -> bool:
        user = self.headers.get(f"X-{self._family}-User", "").encode("latin-1").decode()
        account = f"{user}:{self.presto.password}"
        return self.headers.get("Authorization") == f"Basic {b64encode(account.encode()).decode()}"

    def _get(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/v1/info":
            self._send(200, {"starting": self.presto.starting, "coordinator": True})
            return
        if parts.path == "/v1/query":
            self._send(200, self.presto.told())
            return
        query, token = self._asked_for(parts.path)
        if query is None:
            self._send(404, {})
            return
        wait = float(parse_qs(parts.query).get("maxWait", ["1000ms"])[0].removesuffix("ms")) / 1000
        page = query.page(token, wait, self.presto.planned)
        if page is None:
            self._send(410, {})
        else:
            self._send_page(query, token, page)

    def _delete(self) -> None:
        query, _token = self._asked_for(urlsplit(self.path).path)
        if query is not None:
            query.cancel()
        self._send(204 if query else 404, None)

    def _asked_for(self, path: str) -> tuple[Query | None, int]:
        found = re.fullmatch(r"/v1/(?:statement/(?:queued|executing)|query)/([^/]+)(?:/(\d+))?", path)
        return (self.presto.queries.get(found[1]), int(found[2] or 0)) if found else (None, 0)

    def _send_page(self, query: Query, token: int, page: dict[str, Any]) -> None:
        page = dict(page)
        state, over = page.pop("state"), page.pop("over")
        phase = "queued" if state == "QUEUED" else "executing"
        answer = {
            "id": query.id,
            "infoUri": f"{self.presto.url}/ui/query.html?{query.id}",
            "stats": {"state": state, "totalSplits": 4, "completedSplits": 4 if over else 1, "elapsedTimeMillis": 5},
            "warnings": self.presto.warnings,
            **{name: value for name, value in page.items() if value},
        }
        if not over:
            answer["nextUri"] = f"{self.presto.url}/v1/statement/{phase}/{query.id}/{token + 1}?slug=x1"
        self._send(200, answer, {f"X-{self._family}-{name}": value for name, value in query.changes.items()})

    def _send(self, status: int, answer: Any, headers: Mapping[str, str] | None = None) -> None:
        content = b"" if answer is None else orjson.dumps(answer)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

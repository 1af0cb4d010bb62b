"""How long the server takes to answer a dashboard, with a million task runs in MariaDB.

The time runs in the client, from the request's first byte sent to the response's last byte read, over a loopback
connection that is kept: it is the server's time and, at most, the trip of an empty answer, which the first row shows.
Statements are what MariaDB counted; CPU is the server process's and MariaDB's own, from Linux's /proc. What counts is
the steady state: each question is asked some times before it is measured. `first ms` is the very first answer, with
cold caches of documents and statements.
"""

import asyncio
from collections.abc import Callable
from http.client import HTTPConnection
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import orjson

from tests.benchmarks import history
from tests.benchmarks.dashboard import Question, places, questions
from tests.benchmarks.seeded import DATABASE, Seeded, seeded
from tests.benchmarks.usage import cpu_seconds

WARM_UP, REPEATS = 10, 200
MOST_SECONDS = 4  # for one question; a slow one is asked fewer times
LOGIN = "mutation($i: LoginInput!) { login(input: $i) { session { accessToken } errors { code } } }"
SIZE = history.Size()
NOTHING = Question(name="an empty answer", document="{ __typename }")


class Asker:
    """One connection that is kept; it asks, and says how long that took."""

    def __init__(self, base: str) -> None:
        address = urlsplit(base)
        self._connection = HTTPConnection(address.hostname or "", address.port)
        self._connection.connect()
        self._headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}

    def ask(self, question: Question) -> tuple[float, bytes]:
        body = orjson.dumps({"query": question.document, "variables": question.variables})
        begin = perf_counter()
        self._connection.request("POST", "/graphql", body, self._headers)
        answer = self._connection.getresponse().read()
        return perf_counter() - begin, answer

    def sign_in(self, email: str) -> None:
        given = {"email": email, "password": history.PASSWORD}
        _, answer = self.ask(Question(name="login", document=LOGIN, variables={"i": given}))
        token = orjson.loads(answer)["data"]["login"]["session"]["accessToken"]
        self._headers["authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._connection.close()


def measure(on: Seeded, asker: Asker, question: Question) -> dict[str, float]:
    first, answer = asker.ask(question)
    if answer.startswith(b"{") and (errors := orjson.loads(answer).get("errors")):
        raise AssertionError(f"{question.name}: {errors[0]}\n{on.platform.logs()}")
    for _ in range(WARM_UP):
        asker.ask(question)
    counters: tuple[Callable[[], float], ...] = (
        lambda: _selects(on),
        lambda: cpu_seconds(on.platform.processes[0].pid),
        lambda: cpu_seconds(on.mariadb.process.pid),
    )
    before = [counter() for counter in counters]
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < MOST_SECONDS:
        times.append(asker.ask(question)[0])
    statements, server, database = (
        (counter() - start) / len(times) for counter, start in zip(counters, before, strict=True)
    )
    times.sort()
    return {
        "p50 ms": times[len(times) // 2] * 1000,
        "p99 ms": times[len(times) * 99 // 100] * 1000,
        "first ms": first * 1000,
        "server CPU ms": server * 1000,
        "MariaDB CPU ms": database * 1000,
        "statements": statements,
        "bytes": len(answer),
    }


def _selects(on: Seeded) -> int:
    return int(on.mariadb.execute("SHOW GLOBAL STATUS LIKE 'Com_select'").split()[-1])


async def everything() -> dict[str, dict[str, float]]:
    async with seeded() as on:
        asker = Asker(on.platform.base)
        try:
            rows = {NOTHING.name: measure(on, asker, NOTHING)}
            asker.sign_in(history.email(1))
            at = places(SIZE, on.mariadb, database=DATABASE)
            return rows | {question.name: measure(on, asker, question) for question in questions(at)}
        finally:
            asker.close()


def main() -> dict[str, Any]:
    return {"unit": "one client, one answer after the other", "rows": asyncio.run(everything())}

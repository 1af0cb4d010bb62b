"""Thousands of graphql-transport-ws subscribers in a process of their own that costs next to nothing.

A sample of the sockets is read at once, decoded, and every event's arrival noted. The others are emptied a few times a
second, and of their frames only the headers are read, pings answered and events counted: on a machine that runs server
and clients, the clients' share of the CPU must not be what is measured.
"""

import os
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import perf_counter, process_time

import orjson

QUERY = "subscription($id: ID!) { runEvents(runId: $id) { cursor events { cursor at status message } } }"
SAMPLE = 200  # sockets that are read at once
AT_A_TIME = 64  # handshakes under way
SLICE = 16  # sockets emptied between two looks at the sample
ROUND_SECONDS = 0.25  # in which every socket is emptied once
PORTS_OF_AN_ADDRESS = 20_000
EVENT = b'"message"'
PATIENCE = 60.0
PING_SECONDS = 20.0  # in which the server wants an answer
TEXT, PING = 0x81, 0x89
HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Who subscribes to what: one subscriber for each run id, which may repeat."""

    port: int
    token: str
    runs: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What the subscribers have got since they were asked last."""

    events: int
    frames: int
    arrivals: Sequence[tuple[str, float]]  # (message, when) of the sample
    sampled: int
    cpu_seconds: float


@dataclass(slots=True, eq=False)
class Subscriber:
    connection: socket.socket
    is_sampled: bool
    rest: bytes = b""
    events: int = 0
    frames: int = 0
    arrivals: list[tuple[str, float]] = field(default_factory=list)

    def read(self) -> None:
        try:
            data = self.connection.recv(262_144)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionError("the server hung up")
        at = perf_counter() if self.is_sampled else 0.0
        data = self.rest + data
        position, end = 0, len(data)
        while end - position >= 2:
            size, start = data[position + 1], position + 2
            if size == 126:
                size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif size == 127:
                size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            if start + size > end:
                break
            self._take(data[position], data[start : start + size], at)
            position = start + size
        self.rest = data[position:]

    def _take(self, kind: int, payload: bytes, at: float) -> None:
        if kind == PING:
            self.connection.send(masked(payload, 0x8A))
        elif kind != TEXT:
            raise ConnectionError(f"the server closed the socket: {payload!r}")
        elif found := payload.count(EVENT):
            self.frames += 1
            self.events += found
            if self.is_sampled:
                events = orjson.loads(payload)["payload"]["data"]["runEvents"]["events"]
                self.arrivals += [(event["message"], at) for event in events]
        elif b'"error' in payload:
            raise ConnectionError(payload.decode())


def masked(payload: bytes, kind: int = TEXT) -> bytes:
    """A client's frame; the mask is zero, so that the payload stands as it is."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    return bytes((kind,)) + length + bytes(4) + payload


class Crowd:
    """All subscribers of one process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._all: list[Subscriber] = []
        self._by_descriptor: dict[int, Subscriber] = {}
        self._sample = select.epoll()
        self._turn = 0

    def connect(self) -> None:
        """Open every socket, and return once each has been told its run's first event."""
        runs = self._plan.runs
        step, looked = max(1, len(runs) // SAMPLE), perf_counter()
        for begin in range(0, len(runs), AT_A_TIME):
            numbers = range(begin, min(begin + AT_A_TIME, len(runs)))
            opened = [self._open(number) for number in numbers]
            for connection, number in zip(opened, numbers, strict=True):
                self._subscribe(connection, runs[number])
            for connection, number in zip(opened, numbers, strict=True):
                subscriber = Subscriber(connection, is_sampled=number % step == 0)
                while not subscriber.events:
                    subscriber.read()
                connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
                self._all.append(subscriber)
                if subscriber.is_sampled:
                    self._by_descriptor[connection.fileno()] = subscriber
                    self._sample.register(connection.fileno(), select.EPOLLIN)
            if perf_counter() > looked + PING_SECONDS / 4:  # those who are on already have to answer pings meanwhile
                looked = perf_counter()
                for each in self._all:
                    each.read()
        self.tally()

    def _open(self, number: int) -> socket.socket:
        connection = socket.socket()
        connection.settimeout(PATIENCE)
        connection.bind((f"127.0.0.{2 + number // PORTS_OF_AN_ADDRESS + os.getpid() % 100}", 0))
        connection.connect(("127.0.0.1", self._plan.port))
        connection.sendall(HANDSHAKE.format(port=self._plan.port).encode())
        return connection

    def _subscribe(self, connection: socket.socket, run: str) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        if b" 101 " not in head:
            raise ConnectionError(head.decode())
        init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {self._plan.token}"}}
        payload = {"query": QUERY, "variables": {"id": run}}
        subscribe = {"id": "1", "type": "subscribe", "payload": payload}
        connection.sendall(masked(orjson.dumps(init)) + masked(orjson.dumps(subscribe)))

    def work(self, seconds: float) -> None:
        """Read for a while."""
        until = perf_counter() + seconds
        pause = ROUND_SECONDS * SLICE / max(len(self._all), 1)
        next_slice = perf_counter()
        while (now := perf_counter()) < until:
            for descriptor, _ in self._sample.poll(max(0.0, min(next_slice, until) - now)):
                self._by_descriptor[descriptor].read()
            if perf_counter() >= next_slice:
                self._empty_some()
                next_slice = max(next_slice + pause, perf_counter() - ROUND_SECONDS)

    def _empty_some(self) -> None:
        for subscriber in self._all[self._turn : self._turn + SLICE]:
            if not subscriber.is_sampled:
                subscriber.read()
        self._turn = self._turn + SLICE if self._turn + SLICE < len(self._all) else 0

    def tally(self) -> Tally:
        tally = Tally(
            events=sum(each.events for each in self._all),
            frames=sum(each.frames for each in self._all),
            arrivals=[arrival for each in self._all for arrival in each.arrivals],
            sampled=len(self._by_descriptor),
            cpu_seconds=process_time(),
        )
        for each in self._all:
            each.events = each.frames = 0
            each.arrivals.clear()
        return tally


def subscribe(plan: Plan, parent: Connection) -> None:
    """A process's work: connect, say so, read; a tally at each word of the parent, and the end at its hanging up."""
    crowd = Crowd(plan)
    crowd.connect()
    parent.send(None)
    try:
        while True:
            crowd.work(0.05)
            if parent.poll():
                parent.recv()
                parent.send(crowd.tally())
    except EOFError:
        return

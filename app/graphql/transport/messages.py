"""The messages of graphql-transport-ws: reading those of clients, writing those of the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import orjson

from app.graphql.transport.requests import BadRequestError, GraphQLRequest, graphql_request

SUBPROTOCOL = "graphql-transport-ws"
MAX_ID_CHARACTERS = 256
MAX_REASON_BYTES = 123  # a websocket close frame holds no more

ACKNOWLEDGED = b'{"type":"connection_ack"}'
PING = b'{"type":"ping"}'


class CloseCode(IntEnum):
    """Why the server closes a socket; clients reconnect after 1012 and 1013, and not after 44xx."""

    GOING_AWAY = 1001
    INTERNAL = 1011
    TRY_AGAIN_LATER = 1013
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_REQUESTS = 4429


class ProtocolViolationError(Exception):
    """The client broke the protocol: the socket is closed with this code and reason."""

    def __init__(self, reason: str, code: CloseCode = CloseCode.INVALID_MESSAGE) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Init:
    payload: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ping:
    payload: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Pong:
    pass


@dataclass(frozen=True, kw_only=True)
class Subscribe:
    id: str
    request: GraphQLRequest


@dataclass(frozen=True, kw_only=True)
class Complete:
    id: str


ClientMessage = Init | Ping | Pong | Subscribe | Complete


def parse_message(text: str | None) -> ClientMessage:
    """Reads one message; raises ProtocolViolationError with what is wrong with it."""
    if text is None:
        raise ProtocolViolationError("Binary frames are not accepted: send JSON as text")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProtocolViolationError("The message is not valid JSON") from error
    if not isinstance(message, dict):
        raise ProtocolViolationError("The message has to be a JSON object")
    payload = message.get("payload")
    match message.get("type"):
        case "connection_init":
            return Init(payload=_object(payload, "connection_init") or {})
        case "ping":
            return Ping(payload=_object(payload, "ping"))
        case "pong":
            _object(payload, "pong")
            return Pong()
        case "subscribe":
            return Subscribe(id=_id(message, "subscribe"), request=_request(payload))
        case "complete":
            return Complete(id=_id(message, "complete"))
        case str() as unknown:
            raise ProtocolViolationError(f"Unknown message type '{unknown[:40]}'")
        case _:
            raise ProtocolViolationError("The message has to have a text under 'type'")


def _object(payload: object, of: str) -> Mapping[str, Any] | None:
    if not isinstance(payload, dict | None):
        raise ProtocolViolationError(f"The payload of '{of}' has to be a JSON object")
    return payload


def _id(message: Mapping[str, Any], of: str) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID_CHARACTERS:
        raise ProtocolViolationError(f"'{of}' has to have a text of 1 to {MAX_ID_CHARACTERS} characters under 'id'")
    return id_


def _request(payload: object) -> GraphQLRequest:
    try:
        return graphql_request(payload, what="The payload of 'subscribe'")
    except BadRequestError as error:
        raise ProtocolViolationError(error.message.rstrip(".").replace("`", "'")) from error


def closing_reason(reason: str) -> str:
    """Cuts a reason to what a close frame holds, never inside a character."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def pong(payload: Mapping[str, Any] | None) -> bytes:
    return b'{"type":"pong"}' if payload is None else orjson.dumps({"type": "pong", "payload": payload})


def next_prefix(id_: str) -> bytes:
    """Gives what stands before the payload of every `next` of one operation; after it comes one `}`."""
    return b'{"id":' + orjson.dumps(id_) + b',"type":"next","payload":'


def error_message(id_: str, errors: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"id": id_, "type": "error", "payload": errors})


def complete_message(id_: str) -> bytes:
    return orjson.dumps({"id": id_, "type": "complete"})

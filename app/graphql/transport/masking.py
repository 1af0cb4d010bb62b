"""What a client is told of an error: words that it can act on, or a reference to the log, never internals."""

import uuid
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol

import structlog
from graphql import ArgumentNode, GraphQLError, ObjectFieldNode, ValueNode, VariableDefinitionNode

from app.domain.errors import DomainError, ForbiddenError, UnauthenticatedError


class TransportCode(StrEnum):
    """`extensions.code` of errors that are no refusals of the domain."""

    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    BAD_REQUEST = "BAD_REQUEST"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    TOO_LARGE = "TOO_LARGE"
    TOO_MANY_OPERATIONS = "TOO_MANY_OPERATIONS"
    TIMEOUT = "TIMEOUT"
    INTERNAL = "INTERNAL"


class EventLogger(Protocol):
    """The one method of a structured logger that is used here."""

    def error(self, event: str, /, **fields: Any) -> Any: ...


def plain_error(code: TransportCode, message: str) -> dict[str, Any]:
    """Gives the error of a request that did not get as far as a document."""
    return {"message": message, "extensions": {"code": code.value}}


class ErrorMask:
    """Turns exceptions into `errors`; what was not foreseen is logged, once, and named by a reference."""

    def __init__(self, *, logger: EventLogger | None = None) -> None:
        self._logger = logger or structlog.get_logger("app.graphql")

    def syntax(self, error: GraphQLError) -> list[dict[str, Any]]:
        return [_formatted(error, TransportCode.GRAPHQL_PARSE_FAILED)]

    def validation(self, errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
        return [_formatted(error, TransportCode.GRAPHQL_VALIDATION_FAILED) for error in errors]

    def variables(self, errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
        return [_formatted(error, TransportCode.BAD_USER_INPUT) for error in errors]

    def execution(self, errors: Sequence[GraphQLError], **fields: Any) -> list[dict[str, Any]]:
        """Masks the errors of resolvers; `fields` go to the log of those that were not foreseen.

        Where a statement for a hundred objects fails, each of them has the same error: it is logged once.
        """
        references: dict[int, str] = {}
        return [self._execution(error, fields, references) for error in errors]

    def exception(self, error: Exception, **fields: Any) -> dict[str, Any]:
        """Masks an exception raised outside the resolvers: authentication, a subscription's source."""
        return self._execution(GraphQLError(str(error), original_error=error), fields, {})

    def _execution(self, error: GraphQLError, fields: dict[str, Any], references: dict[int, str]) -> dict[str, Any]:
        root = _root_cause(error)
        match root:
            case DomainError():
                extensions = {"code": root.code.value} | ({"path": list(root.path)} if root.path else {})
                masked = _placed(error, root.message, extensions)
            case UnauthenticatedError():
                message = str(root) or "Sign in first: send the header Authorization: Bearer <access token>."
                masked = _placed(error, message, {"code": TransportCode.UNAUTHENTICATED.value})
            case ForbiddenError():
                message = str(root) or "This account may not do that."
                masked = _placed(error, message, {"code": TransportCode.FORBIDDEN.value})
            case GraphQLError() if (root.extensions or {}).get("code"):  # raised on purpose
                masked = _placed(error, root.message, dict(root.extensions or {}))
            case GraphQLError() if _is_about_an_argument(root):
                masked = _formatted(error, TransportCode.BAD_USER_INPUT)
            case _:
                reference = references.get(id(root)) or self._log(error, root, fields)
                references[id(root)] = reference
                message = f"Internal error. Quote the reference {reference} to whoever runs this server."
                masked = _placed(error, message, {"code": TransportCode.INTERNAL.value, "reference": reference})
        return masked

    def _log(self, error: GraphQLError, root: BaseException, fields: dict[str, Any]) -> str:
        """Log what was not foreseen; the reference to it."""
        reference = uuid.uuid4().hex[:12]
        path = ".".join(str(key) for key in error.path or ())
        cause = (type(root), root, root.__traceback__)
        self._logger.error("graphql.internal_error", reference=reference, path=path, exc_info=cause, **fields)
        return reference


def _root_cause(error: GraphQLError) -> BaseException:
    """Looks through the GraphQLErrors that locating wrapped around what was raised."""
    root: BaseException = error
    while isinstance(root, GraphQLError) and root.original_error is not None:
        root = root.original_error
    return root


def _is_about_an_argument(error: GraphQLError) -> bool:
    # Coercing an argument fails at the argument or its value; everything that goes wrong on the server's side
    # (a leaf that does not serialize, an abstract type that does not resolve) is reported at the field.
    client_side = (ArgumentNode, ObjectFieldNode, ValueNode, VariableDefinitionNode)
    return any(isinstance(node, client_side) for node in error.nodes or ())


def _formatted(error: GraphQLError, code: TransportCode) -> dict[str, Any]:
    extensions = {"code": code.value, **(error.extensions or {})}
    return {**error.formatted, "extensions": extensions}


def _placed(error: GraphQLError, message: str, extensions: dict[str, Any]) -> dict[str, Any]:
    return {"message": message, **_place(error), "extensions": extensions}


def _place(error: GraphQLError) -> dict[str, Any]:
    formatted = error.formatted
    return {key: formatted[key] for key in ("locations", "path") if key in formatted}

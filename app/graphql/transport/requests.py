"""What a request asks for, read from JSON, whatever carried it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from app.graphql.transport.masking import TransportCode


class BadRequestError(Exception):
    """A request that is no GraphQL request; `status` and `headers` are for HTTP."""

    def __init__(
        self,
        message: str,
        *,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        code: TransportCode = TransportCode.BAD_REQUEST,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class GraphQLRequest:
    """The parameters of one operation, of the right types."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


def parse_json(text: bytes | str, *, what: str) -> Any:
    """Reads JSON; `what` names it in the refusal."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"{what} is not valid JSON: {error}.") from error


def graphql_request(parameters: object, *, what: str = "The request's body") -> GraphQLRequest:
    """Checks the parameters; unknown keys are ignored, as the specification wants."""
    if isinstance(parameters, list):
        raise BadRequestError("Batches are not supported: send one operation a request.")
    if not isinstance(parameters, dict):
        raise BadRequestError(f"{what} has to be a JSON object with the key `query`.")
    query = parameters.get("query")
    if not isinstance(query, str):
        raise BadRequestError(f"{what} has to have a text under `query`: the GraphQL document.")
    name = parameters.get("operationName")
    if not isinstance(name, str | None):
        raise BadRequestError("`operationName` has to be a text or null.")
    for key in ("variables", "extensions"):
        if not isinstance(parameters.get(key), dict | None):
            raise BadRequestError(f"`{key}` has to be a JSON object or null.")
    return GraphQLRequest(query=query, operation_name=name or None, variables=parameters.get("variables") or {})

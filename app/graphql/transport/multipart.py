"""Uploads: multipart forms as the GraphQL multipart request specification has them, spooled to disk."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.graphql.transport.masking import TransportCode
from app.graphql.transport.requests import BadRequestError, GraphQLRequest, graphql_request, parse_json

# A browser sends a multipart form across origins without asking first; a header of its own makes it ask.
PREFLIGHT_HEADERS = ("graphql-require-preflight", "apollo-require-preflight", "x-requested-with")
MAX_FIELDS = 10
MAX_PATHS_PER_FILE = 10
MAX_INDEX_DIGITS = 5
MAX_LENGTH_DIGITS = 18
MAX_DISCARDED_BYTES = 2**28


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """What one form may carry."""

    max_body_bytes: int = 64 * 2**20
    max_operations_bytes: int = 2**20
    max_files: int = 10
    signed_in_only: bool = False  # nothing is read of a form that comes without a good token


class _BodyTooLargeError(MultiPartException):
    """Raised inside the form parser, which closes its files and lets it through."""


class _FormParser(MultiPartParser):
    """Takes no more than the limits say, and nothing that was cut off.

    What goes wrong is raised inside the stream that it reads: there it closes the files that it has begun.
    """

    def __init__(self, request: Request, limits: UploadLimits) -> None:
        super().__init__(
            request.headers,
            self._bounded(request, limits.max_body_bytes),
            max_files=limits.max_files,
            max_fields=MAX_FIELDS,
            max_part_size=limits.max_operations_bytes,
        )
        self._complete = False

    def on_end(self) -> None:
        self._complete = True

    async def _bounded(self, request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if received > max_bytes:
                raise _BodyTooLargeError("too large")
            yield chunk
        if not self._complete:
            raise MultiPartException("It was cut off before its last boundary.")


class Upload:
    """A parsed form; its files are closed by `close`, after the operation."""

    def __init__(self, *, request: GraphQLRequest, form: FormData) -> None:
        self.request = request
        self._form = form

    async def close(self) -> None:
        await self._form.close()


async def read_upload(request: Request, *, limits: UploadLimits) -> Upload:
    """Reads the form and puts its files in place of the nulls that `map` names; raises BadRequestError."""
    if not any(request.headers.get(name) for name in PREFLIGHT_HEADERS):
        raise BadRequestError(
            "Uploads need the header GraphQL-Require-Preflight: 1, so that no foreign page can send them.",
            status=HTTPStatus.FORBIDDEN,
            code=TransportCode.FORBIDDEN,
        )
    try:
        form = await _FormParser(request, limits).parse()
    except _BodyTooLargeError as error:
        raise too_large(request, limits.max_body_bytes) from error
    except MultiPartException as error:
        raise BadRequestError(f"The multipart form cannot be read: {error.message.rstrip('.')}.") from error
    try:
        return Upload(request=_request_of(form), form=form)
    except BadRequestError:
        await form.close()
        raise


def too_large(request: Request, max_bytes: int) -> BadRequestError:
    """Gives the refusal of a body over the limit.

    A rest of moderate length is left to the server to throw away: hanging up on a client that is still sending
    makes it lose the answer. From one that announces more, or does not say how much, nothing more is taken.
    """
    declared = declared_bytes(request)
    headers = {} if 0 < declared <= MAX_DISCARDED_BYTES else {"connection": "close"}
    return BadRequestError(
        f"The request is larger than {max_bytes:,} bytes.",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        code=TransportCode.TOO_LARGE,
        headers=headers,
    )


def declared_bytes(request: Request) -> int:
    """Reads Content-Length; 0 where there is none."""
    declared = request.headers.get("content-length", "")
    return int(declared[:MAX_LENGTH_DIGITS]) if declared.isascii() and declared.isdigit() else 0


def _request_of(form: FormData) -> GraphQLRequest:
    operations = parse_json(_text(form, "operations"), what="The field `operations`")
    places = parse_json(_text(form, "map"), what="The field `map`")
    request = graphql_request(operations, what="The field `operations`")
    if not isinstance(places, dict):
        raise BadRequestError('The field `map` has to be a JSON object, such as {"0": ["variables.file"]}.')
    for key, paths in places.items():
        file = form.get(key)
        if not isinstance(file, UploadFile):
            raise BadRequestError(f"`map` names the file '{key}', which the form does not carry.")
        if not isinstance(paths, list) or not 0 < len(paths) <= MAX_PATHS_PER_FILE:
            raise BadRequestError(f"`map` has to give a list of 1 to {MAX_PATHS_PER_FILE} paths for the file '{key}'.")
        for path in paths:
            _put(operations, path, file)
    return request


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    if not isinstance(value, str):
        raise BadRequestError(f"The multipart form has to have the field `{name}`, before its files.")
    return value


def _put(operations: dict[str, Any], path: object, file: UploadFile) -> None:
    """Replaces the null at `path`, such as `variables.files.0`."""
    keys = path.split(".") if isinstance(path, str) else []
    node: Any = operations
    for key in keys[:-1]:
        node = _child(node, key)
    if keys[:1] != ["variables"] or _child(node, keys[-1]) is not None or not _holds(node, keys[-1]):
        raise BadRequestError(f"`map` names the path {path!r}; it has to lead to a null inside `variables`.")
    node[int(keys[-1]) if isinstance(node, list) else keys[-1]] = file


def _child(node: Any, key: str) -> Any:
    if not _holds(node, key):
        return None
    return node[int(key)] if isinstance(node, list) else node[key]


def _holds(node: Any, key: str) -> bool:
    if isinstance(node, list):
        return key.isascii() and key.isdigit() and len(key) <= MAX_INDEX_DIGITS and int(key) < len(node)
    return isinstance(node, dict) and key in node

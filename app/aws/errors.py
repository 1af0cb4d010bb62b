"""What goes wrong at AWS: worth another try, or refused for good; told apart by class and code."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from botocore import exceptions
from botocore.parsers import ResponseParserError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

_AWAY = (
    exceptions.HTTPClientError,  # closed, reset, or silent for too long
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ProxyConnectionError,
    exceptions.IncompleteReadError,
    exceptions.MetadataRetrievalError,
    exceptions.CapacityNotAvailableError,  # our own rate limiter, after AWS has throttled us
    ResponseParserError,  # a page of a proxy's or a balancer's own in place of an answer
)
_RETRIABLE_CODES = frozenset({
    *TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # noqa: SLF001 - botocore's own lists, rather than a copy
    *ThrottledRetryableChecker._THROTTLED_ERROR_CODES,  # noqa: SLF001 - as above
})  # fmt: skip
_PROBABLY_PASSING = frozenset(
    status
    for status in HTTPStatus
    if status is HTTPStatus.TOO_MANY_REQUESTS or (status >= 500 and status is not HTTPStatus.NOT_IMPLEMENTED)  # noqa: PLR2004 - HTTP's own
)


class AwsError(Exception):
    """A call failed; `code` is AWS's word such as NoSuchKey, or the name of botocore's class."""

    retriable = False

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class TransientAwsError(AwsError):
    """Throttled, away or broken for the moment, after the retries that a call makes itself."""

    retriable = True


class TerminalAwsError(AwsError):
    """Refused: the same call fails again."""


@contextmanager
def aws_errors(service: str, operation: str) -> Iterator[None]:
    """Wrap what botocore raises inside. Raises: TransientAwsError, TerminalAwsError."""
    try:
        yield
    except exceptions.ClientError as error:
        answer: dict[str, Any] = error.response.get("Error", {})
        code = str(answer.get("Code") or type(error).__name__)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        passing = code in _RETRIABLE_CODES or status in _PROBABLY_PASSING
        message = f"AWS {service} refused {operation}: {answer.get('Message') or code} ({code})."
        raise (TransientAwsError if passing else TerminalAwsError)(message, code=code) from error
    except (exceptions.BotoCoreError, ResponseParserError) as error:
        code = type(error).__name__
        raise (TransientAwsError if isinstance(error, _AWAY) else TerminalAwsError)(
            f"AWS {service} could not be asked to {operation}: {error}", code=code
        ) from error

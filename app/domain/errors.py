"""Failures that a person can mend, each with a code that clients rely on."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The vocabulary of refusals; clients switch on it."""

    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    CYCLE = "CYCLE"
    ILLEGAL_STATE = "ILLEGAL_STATE"
    TAKEN = "TAKEN"
    BAD_CREDENTIALS = "BAD_CREDENTIALS"
    EXPIRED = "EXPIRED"
    TOO_LARGE = "TOO_LARGE"
    UNAVAILABLE = "UNAVAILABLE"
    PRUNED = "PRUNED"


class DomainError(Exception):
    """A refusal: nothing was changed; `path` names the input's field that it is about."""

    code = ErrorCode.INVALID

    def __init__(self, message: str, *, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class InvalidError(DomainError):
    code = ErrorCode.INVALID


class NotFoundError(DomainError):
    code = ErrorCode.NOT_FOUND


class ConflictError(DomainError):
    code = ErrorCode.CONFLICT


class CycleError(DomainError):
    code = ErrorCode.CYCLE


class IllegalStateError(DomainError):
    code = ErrorCode.ILLEGAL_STATE


class TakenError(DomainError):
    code = ErrorCode.TAKEN


class BadCredentialsError(DomainError):
    code = ErrorCode.BAD_CREDENTIALS


class ExpiredError(DomainError):
    code = ErrorCode.EXPIRED


class TooLargeError(DomainError):
    code = ErrorCode.TOO_LARGE


class UnavailableError(DomainError):
    code = ErrorCode.UNAVAILABLE


class PrunedError(DomainError):
    code = ErrorCode.PRUNED


class ForbiddenError(Exception):
    """Not a refusal of an input: the caller may not do this at all."""


class UnauthenticatedError(Exception):
    """The caller is not signed in, or the session has ended."""

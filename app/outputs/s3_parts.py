"""The parts of a table that lie in a bucket: found, and brought by many ranged requests at once."""

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from app.aws.bucket import READ_BYTES, Bucket, ObjectFacts, Piece, is_missing
from app.aws.errors import AwsError, TerminalAwsError
from app.domain.errors import DomainError, NotFoundError
from app.outputs.base import StorageError
from app.outputs.parts import Brought, is_part, told_empty

REQUESTS_AT_ONCE = 8  # each holds READ_BYTES at most; S3 gives a single one some 50 to 90 MB/s
_TICK_SECONDS = 0.1
_CHANGED = str(int(HTTPStatus.PRECONDITION_FAILED)), "PreconditionFailed"
_FORBIDDEN = str(int(HTTPStatus.FORBIDDEN)), "AccessDenied", "AllAccessDisabled", "AccountProblem"
_NOBODY = "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"
_UNKNOWN = "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRetrievalError"
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        _FORBIDDEN,
        "may not be read by whom you are: the right s3:GetObject is wanted, and s3:ListBucket (without it, what is not"
        " there is refused like this as well).",
    ),
    **dict.fromkeys(
        _NOBODY,
        "was not asked for, since there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
        " AWS_PROFILE.",
    ),
    **dict.fromkeys(_UNKNOWN, "is refused: the credentials are wrong, or no longer valid. Renew them."),
    "InvalidObjectState": "is archived: restore it first.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Part:
    """An object of one version: where it is replaced meanwhile, reading it is an error and never a mixture."""

    bucket: Bucket
    facts: ObjectFacts
    path: None = None

    @property
    def name(self) -> str:
        return self.bucket.uri(self.facts.key)

    @property
    def size_bytes(self) -> int:
        return self.facts.size_bytes

    def pieces(self, brought: Brought) -> Generator[bytes, None, None]:
        done = 0
        ranges = ((start, min(start + READ_BYTES, self.size_bytes)) for start in range(0, self.size_bytes, READ_BYTES))
        asked: deque[Future[Piece]] = deque()
        threads = ThreadPoolExecutor(max_workers=REQUESTS_AT_ONCE, thread_name_prefix="s3-source")
        ask = partial(self.bucket.read, self.facts.key, etag=self.facts.etag)
        try:
            while True:
                while len(asked) < REQUESTS_AT_ONCE and (span := next(ranges, None)) is not None:
                    asked.append(threads.submit(ask, *span))
                if not asked:
                    return
                brought(done)
                if wait([asked[0]], timeout=_TICK_SECONDS).done:
                    with told(self.name):
                        data = asked.popleft().result().data
                    done += len(data)
                    yield data
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def s3_parts(bucket: Bucket, key: str) -> list[S3Part]:
    """The object, or those below the key as below a folder, in the order of their keys; for threads.

    Raises: NotFoundError, InvalidError, StorageError.
    """
    uri = bucket.uri(key)
    with told(uri):
        try:
            if key and not key.endswith("/"):
                return [S3Part(bucket=bucket, facts=bucket.head(key))]
        except TerminalAwsError as error:
            if not is_missing(error):
                raise
        prefix = f"{key.rstrip('/')}/" if key else ""
        found = [
            facts
            for facts in bucket.listed(prefix)
            if facts.size_bytes and is_part(facts.key.removeprefix(prefix), of=uri)
        ]
    if not found and not key.endswith("/"):
        raise _missing(uri)
    return told_empty([S3Part(bucket=bucket, facts=facts) for facts in found], uri)


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Says in words what AWS refuses, and what to do next. Raises: NotFoundError, StorageError."""
    try:
        yield
    except AwsError as error:
        raise _in_words(uri, error) from error


def _in_words(uri: str, error: AwsError) -> DomainError:
    if isinstance(error, TerminalAwsError) and (is_missing(error) or error.code == "NoSuchBucket"):
        return _missing(uri)
    if error.code in _CHANGED:
        return StorageError(f"{uri} was replaced while it was read: compare again.", retriable=True)
    words = _WORDS.get(error.code)
    if words is not None:
        return StorageError(f"{uri} {words}", retriable=False)
    return StorageError(f"{uri} cannot be read. {error.message}", retriable=error.retriable)


def _missing(uri: str) -> NotFoundError:
    return NotFoundError(f"There is nothing at {uri}: check the bucket and the key.")

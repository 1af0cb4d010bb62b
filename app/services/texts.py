"""Checks of the short texts that people type: names, descriptions, queries."""

from app.domain.errors import InvalidError, TooLargeError

MAX_NAME = 200
MAX_DESCRIPTION = 20_000
MAX_QUERY_BYTES = 1_000_000


def checked_name(name: str, *, path: tuple[str, ...] = ("name",)) -> str:
    """Raises: InvalidError."""
    name = name.strip()
    if not name:
        raise InvalidError("A name is wanted.", path=path)
    if len(name) > MAX_NAME:
        raise InvalidError(f"A name has at most {MAX_NAME} characters; this has {len(name)}.", path=path)
    if not name.isprintable():
        raise InvalidError("A name has no line breaks and no control characters.", path=path)
    return name


def checked_description(text: str) -> str:
    """Raises: TooLargeError."""
    if len(text) > MAX_DESCRIPTION:
        raise TooLargeError(f"A description has at most {MAX_DESCRIPTION} characters.", path=("description",))
    return text


def checked_query(query: str) -> str:
    """Raises: InvalidError, TooLargeError."""
    if not query.strip():
        raise InvalidError("The query is empty.", path=("query",))
    if "\0" in query:
        raise InvalidError("The query holds a NUL character, which no engine takes.", path=("query",))
    if len(query.encode(errors="surrogatepass")) > MAX_QUERY_BYTES:
        raise TooLargeError(f"A query has at most {MAX_QUERY_BYTES} bytes.", path=("query",))
    return query

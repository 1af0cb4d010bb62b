"""Which media type answers a request, from its Accept header."""

from collections.abc import Iterator
from enum import StrEnum


class MediaType(StrEnum):
    """What the endpoint can send."""

    GRAPHQL = "application/graphql-response+json"
    JSON = "application/json"
    EVENTS = "text/event-stream"
    HTML = "text/html"


def preferred(accept: str | None, *offers: MediaType) -> MediaType | None:
    """Picks the offer that the client likes best; the first one among equals, None when it wants none of them.

    Without a header the answer is JSON, which every client reads.
    """
    if not accept or not accept.strip():
        return MediaType.JSON if MediaType.JSON in offers else offers[0]
    ranges = list(_ranges(accept))
    best: tuple[float, MediaType] | None = None
    for offer in offers:
        quality = _quality(offer, ranges)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, offer)
    return best[1] if best else None


def is_named(accept: str | None, media_type: MediaType) -> bool:
    """Says whether the client asks for this type by its own name, not by a wildcard."""
    return any(pattern == media_type and quality > 0 for pattern, quality in _ranges(accept or ""))


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(",")[:100]:
        pattern, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = _number(parameter.removeprefix("q="))
        yield pattern, quality


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _quality(offer: MediaType, ranges: list[tuple[str, float]]) -> float:
    # The most specific range that matches decides, as RFC 9110 has it.
    for pattern in (offer.value, offer.value.partition("/")[0] + "/*", "*/*"):
        matching = [quality for name, quality in ranges if name == pattern]
        if matching:
            return max(matching)
    return 0.0

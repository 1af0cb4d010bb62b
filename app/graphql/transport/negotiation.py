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
    """Picks the offer that the client likes best, the first one among equals; None when it wants none of them.

    Where the client leaves the choice, by a wildcard or no header at all, it gets JSON, which every client reads.
    """
    ranges = list(_ranges(accept)) if accept and accept.strip() else [("*/*", 1.0)]
    named = {pattern for pattern, _ in ranges}
    liking = {offer: (_quality(offer, ranges), offer in named, offer is MediaType.JSON) for offer in offers}
    best = max(offers, key=lambda offer: liking[offer] if offer not in named else (*liking[offer][:2], False))
    return best if liking[best][0] > 0 else None


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

"""When two outputs are compared in memory and when by Bloom filters, and how exact the filters are."""

from typing import Annotated

from pydantic import Field

from app.settings.section import Section


class ReconciliationSettings(Section):
    """Sizes are bytes of the larger output."""

    exact_match_threshold: Annotated[int, Field(ge=0)] = 1_048_576
    # The specification says 1 % in its text and 0.1 in its example: the stricter one is the default.
    false_positive_rate: Annotated[float, Field(ge=0.000001, le=0.5)] = 0.01
    estimated_rows: Annotated[int, Field(ge=1, le=10_000_000_000)] = 1_000_000
    distributed_threshold: Annotated[int, Field(ge=1)] | None = None

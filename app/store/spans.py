"""Spans of time: finding what has waited for certain lengths of time, by an index."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_
from sqlalchemy.orm import InstrumentedAttribute

Span = tuple[datetime, datetime]  # later than the first, and not later than the second

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def within(column: InstrumentedAttribute[Any], spans: Sequence[Span]) -> ColumnElement[bool]:
    return or_(false(), *(and_(column > start, column <= end) for start, end in spans))

"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings.duration import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("500ms", timedelta(milliseconds=500)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("1h30m", timedelta(minutes=90)),
        ("5 minutes", timedelta(minutes=5)),
        ("1.5s", timedelta(milliseconds=1500)),
        (" 2 D ", timedelta(days=2)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta):
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "30", "s", "30 parsecs", "-1s", "1s!", "1h 30", "99999999999d", "1e3s"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match=r"this is|is no unit"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**12).map(lambda ms: timedelta(milliseconds=ms)))
def test_what_is_written_reads_back(duration: timedelta):
    assert parse_duration(duration_text(duration)) == duration

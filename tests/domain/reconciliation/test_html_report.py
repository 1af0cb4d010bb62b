"""The report: nothing that it shows can act, everything that it says is in it, and no cell looks like another."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.report import Report, ReportSide, report_page, report_policy
from app.domain.reconciliation.report.cells import LONGEST, Look, changed_pieces, pieces
from app.domain.reconciliation.result import ReconciliationResult
from tests.domain.reconciliation.reconciliation_oracle import pairs_of, side_of

EVIL = "<script>alert(1)</script>"
MAPPING = (
    ColumnMapping(left="id", right="id", key=True),
    ColumnMapping(left=f"{EVIL}'\"", right="n<b>"),
)


def result_of(left: str, right: str, mapping: tuple[ColumnMapping, ...], folder: Path) -> ReconciliationResult:
    return compare(
        side_of(left), side_of(right), mapping, ReconciliationOptions(), thresholds=Thresholds(), spill_dir=folder
    )


@pytest.fixture
def evil(tmp_path: Path) -> Report:
    """Every text that comes from outside is hostile."""
    head = f"{EVIL}'\"".replace('"', '""')
    result = result_of(
        f'id,"{head}"\n1,"{EVIL}"\n2,"<img src=x onerror=alert(1)>"\n4,"https://example.com/\'"\n5,same\n',
        f'id,n<b>\n1,"</style>{EVIL}"\n3,"<a href=""javascript:x"">"\n4,4\n5,same\n',
        MAPPING,
        tmp_path,
    )
    side = ReportSide(name=f"/data/{EVIL}.csv", size_bytes=12_345_678, delimiter="\x01", detail=EVIL)
    return Report(
        left=side,
        right=replace(side, size_bytes=None, delimiter=None),
        result=replace(result, warnings=(EVIL,)),
        options=ReconciliationOptions(absolute_tolerance=0.5, pass_when=PassRule(max_differing_rows=1)),
        compared_at=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
        duration=timedelta(seconds=75),
        version="1.2.3",
        title=EVIL,
    )


class Tags(HTMLParser):
    """What a browser would see: elements, their attributes, and whether they are nested as they should be."""

    VOID = frozenset({"meta", "rect"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_whatever_is_compared_is_shown_and_does_nothing(evil: Report) -> None:
    page = report_page(evil)
    tags = Tags(page)
    assert tags.open == []
    assert not tags.names & {"script", "img", "a", "link", "iframe", "object", "form", "base"}
    assert not {name for name in tags.attributes if name.startswith("on") or name in {"style", "href", "src"}}
    assert EVIL in tags.text
    assert "javascript:x" in tags.text


def test_the_page_asks_for_nothing_outside_and_forbids_itself_to(evil: Report) -> None:
    page = report_page(evil)
    assert page.startswith("<!DOCTYPE html>")
    assert "url(" not in page
    assert "@import" not in page
    assert f'content="{report_policy()}"'.replace("'", "&#39;") in page
    assert report_policy().startswith("default-src 'none'; style-src 'sha256-")


def test_the_page_tells_verdict_sources_mapping_options_and_origin(evil: Report) -> None:
    text = re.sub(r"\s+", " ", Tags(report_page(evil)).text)
    for words in (
        "The two sides differ",
        "4 of 5 rows differ (80.00 %)",
        "12.3 MB",
        "Ctrl-A",
        "Changed rows",
        "Rows only on the left",
        "Rows only on the right",
        "Numbers are equal within 0.5",
        "Allowed to differ 1 row ",
        "The answer is exact",
        "Took 1 min 15 s",
        "Made by Data Phantom 1.2.3",
        "2026-01-05 09:30:00 UTC",
    ):
        assert words in text, words


def test_an_estimate_says_its_bound(evil: Report) -> None:
    estimate = replace(evil.result, exact=False, false_positive_rate=0.01, method=ReconciliationMethod.BLOOM)
    text = Tags(report_page(replace(evil, result=estimate))).text
    assert "Up to 1 % of the rows" in text
    assert "About" in text


def test_sides_without_rows_or_keys_or_differences_have_a_page_too(evil: Report, tmp_path: Path) -> None:
    for left, right, words in (
        ("a\n", "a\n", "Neither side has any rows"),
        ("a\n1\n", "a\n1\n", "1 row agrees"),
        ("a\n1\n1\n1\n", "a\n1\n", "No key was named"),
    ):
        result = result_of(left, right, pairs_of("a"), tmp_path)
        assert words in Tags(report_page(replace(evil, result=result, duration=None))).text


def test_a_cell_shows_what_cannot_be_seen() -> None:
    def shown(cell: str | None) -> list[tuple[str, Look]]:
        return [(piece.text, piece.look) for piece in pieces(cell)]

    assert shown(None) == [("NULL", Look.NULL)]
    assert shown("") == [("empty text", Look.NULL)]
    assert shown("NULL") == [("NULL", Look.PLAIN)]
    assert shown(" a b ") == [("·", Look.MARK), ("a b", Look.PLAIN), ("·", Look.MARK)]
    assert shown("a\n\x00") == [("a", Look.PLAIN), ("⏎\\x00", Look.MARK)]
    assert shown("\u202eabc") == [("\\u202e", Look.MARK), ("abc", Look.PLAIN)]
    assert shown("🐘") == [("🐘", Look.PLAIN)]


def test_a_long_cell_is_cut_and_its_length_told() -> None:
    *shown, length = pieces("x" * 12_345)
    assert sum(len(piece.text) for piece in shown) == LONGEST
    assert length.text == "… (12,345 characters)"


def test_two_long_texts_are_shown_where_they_differ() -> None:
    left, right = changed_pieces("word " * 500 + "first end", "word " * 500 + "second end")
    assert [piece.text for piece in left if piece.look is Look.DIFFERENT] == ["first"]
    assert [piece.text for piece in right if piece.look is Look.DIFFERENT] == ["second"]
    assert left[0].text == "…"


def test_numbers_are_not_taken_apart() -> None:
    left, right = changed_pieces("12345678.5", "12345679.5")
    assert [piece.look for piece in (*left, *right)] == [Look.PLAIN, Look.PLAIN]

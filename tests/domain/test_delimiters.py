"""The delimiter of a CSV text, told from its start."""

import pytest

from app.domain.delimiters import find_delimiter


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a\tb\n1\t2\n", "\t"),
        ("a;b\n1,5;2,5\n", ";"),
        ("a|b\n1|2\n", "|"),
        ("a\x01b\n1\x012\n", "\x01"),
        ("\ufeffa;b\r\n1;2\r\n", ";"),
        ("a;b", ";"),
    ],
)
def test_each_usual_delimiter_is_told(text, delimiter):
    assert find_delimiter(text.encode(), whole=True) == delimiter
    assert find_delimiter(text.encode(), whole=False) == delimiter or "\n" not in text


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ('a,b\n1,"x;y;z"\n2,"u;v;w"\n', ","),
        ('"a,b";c\n"1\n2,3";4\n5;6\n', ";"),
        ('"say ""a,b""";c\n1;2\n', ";"),
        ("x\ty, z\tw\n1\t2\t3\n4\t5,6,7\t8\n", "\t"),
        ('a,b\n"never closed,1\n2,3\n', ","),
        ("a,b\n1,2\n\n3,4\n", ","),
    ],
)
def test_what_stands_in_quotes_or_in_few_rows_does_not_mislead(text, delimiter):
    assert find_delimiter(text.encode(), whole=True) == delimiter


def test_a_few_odd_rows_are_left_for_the_comparison_to_tell():
    text = "a;b;c\n" + "1;2;3\n" * 50 + "1;2\n"
    assert find_delimiter(text.encode(), whole=True) == ";"


@pytest.mark.parametrize(("text", "delimiter"), [("a\n1\n", ","), ("", ","), ("note\nyes, indeed\nno\n", "\t")])
def test_one_column_gets_a_delimiter_that_it_does_not_contain(text, delimiter):
    assert find_delimiter(text.encode(), whole=True) == delimiter


def test_a_row_that_is_cut_off_counts_for_nothing():
    text = "a,b,c\n1,2"
    assert find_delimiter(text.encode(), whole=False) == ","
    assert find_delimiter(b'a;b\n1;"x,y,z', whole=False) == ";"

"""The delimiter of a file, told by its first lines."""

import pytest

from app.domain.errors import InvalidError
from app.domain.reconciliation.delimiters import delimiter_named, detect_delimiter


@pytest.mark.parametrize(
    ("start", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a\tb\n1,5\t2\n", "\t"),
        ("a;b;c\n1,5;2,5;3\n", ";"),
        ("a|b\n1|x,y\n", "|"),
        ("a\x01b\n1\x012\n", "\x01"),
        ('\ufeff"a,x";b\n"1\n2";3\n', ";"),
        ("a,b;c\n1,2;3\n", ","),
        ("a,b;c\n1;3,4,5\n", ";"),
        ("a\n1\n", ","),
        ("", ","),
    ],
)
def test_it_cuts_all_lines_into_as_many_cells(start: str, delimiter: str) -> None:
    assert detect_delimiter(start.encode()) == delimiter


def test_what_is_hard_to_type_has_names() -> None:
    assert [delimiter_named(name) for name in ("tab", "\\t", "\t", "\\x01", "pipe", "~")] == list("\t\t\t\x01|~")
    for wrong in ("", "ab", '"', "\n"):
        with pytest.raises(InvalidError):
            delimiter_named(wrong)

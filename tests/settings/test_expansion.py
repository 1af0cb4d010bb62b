"""`${VAR:default}` in every form that it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings.expansion import ExpansionError, expand

ENV = {"HOST": "db", "PORT": "3306", "EMPTY": "", "TRICKY": "a${HOST}b}c:d"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${HOST}", "db"),
        ("jdbc:mariadb://${HOST:localhost}:${PORT:1}/x", "jdbc:mariadb://db:3306/x"),
        ("${NONE:default}", "default"),
        ("${NONE:}", ""),
        ("${NONE:jdbc:mariadb://localhost:3306/your_database}", "jdbc:mariadb://localhost:3306/your_database"),
        ("${NONE:${HOST:x}}", "db"),
        ("${NONE:a-${NONE:b-${NONE:c}}-d}", "a-b-c-d"),
        ("${EMPTY:default}", ""),
        ("${TRICKY:x}", "a${HOST}b}c:d"),
        ("$${HOST}", "${HOST}"),
        ("${NONE:$${HOST}", "${HOST"),
        (r"${NONE:a\}b\\c\d}", r"a}b\c\d"),
        (r"C:\folder\${HOST}", r"C:\folder\db"),
        ("$HOST $ {HOST} $$ }", "$HOST $ {HOST} $$ }"),
        ("${HOST:${NOT_NEEDED}}", "db"),
        ("x${HOST}${PORT}y", "xdb3306y"),
    ],
)
def test_placeholders_are_filled(text: str, expanded: str):
    assert expand(text, ENV).text == expanded


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${NONE}", "variable NONE is not set"),
        ("${NONE:${ALSO_NONE}}", "variable ALSO_NONE is not set"),
        ("${HOST", "VARIABLE}"),
        ("${NONE:abc", "not closed"),
        ("${HOST:abc", "not closed"),
        ("${}", "VARIABLE}"),
        ("${two words}", "VARIABLE}"),
        ("${1ST:x}", "VARIABLE}"),
        ("${HOST-x}", "VARIABLE}"),
    ],
)
def test_a_placeholder_that_cannot_be_filled_is_told(text: str, told: str):
    with pytest.raises(ExpansionError, match=told):
        expand(text, ENV)


def test_the_variables_that_were_used_are_known():
    assert expand("${HOST:x}${NONE:y}${PORT:${HOST}}", ENV).variables == ["HOST", "PORT"]


@given(st.text())
def test_a_value_comes_out_as_it_is(value: str):
    assert expand("<${V}>", {"V": value}).text == f"<{value}>"


@given(st.text(alphabet="abc$#:é \\}{"))
def test_an_escaped_default_comes_out_as_it_was(value: str):
    escaped = value.replace("\\", "\\\\").replace("}", "\\}").replace("${", "$${")

    assert expand("${NONE:" + escaped + "}", {}).text == value

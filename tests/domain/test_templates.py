"""Templates: what stands between two braces becomes checked text, and nothing else in a text is touched."""

import ast
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
import sqlglot

from app.domain.errors import DomainError, ErrorCode, InvalidError, TooLargeError
from app.domain.parameters import ParameterValue, checked_parameters, with_overrides
from app.domain.sql import DIALECTS
from app.domain.status import RunTrigger
from app.domain.tasks import TaskType
from app.domain.templates import PlaygroundFacts, RunFacts, Scope, is_template, names_in, render, render_sample
from tests.support.mariadb import MariaDB

NONE: Mapping[str, ParameterValue] = {}
AT = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
ODD = "O'Hare \\ \"x\" \\' '' -- /* */ ; {{ n }} %s ${x} `y` \n\r\t \u02bc é 🛫 \\n \\u0041 \\%"


def scope(parameters: Mapping[str, ParameterValue]) -> Scope:
    return Scope(
        scheduled_for=AT,
        run=RunFacts(number=7, trigger=RunTrigger.SCHEDULED),
        playground=PlaygroundFacts(name="flights"),
        parameters=parameters,
    )


def rendered(text: str, parameters: Mapping[str, ParameterValue] = NONE, *, type: TaskType = TaskType.PRESTO) -> str:
    return render(text, type=type, scope=scope(parameters))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ scheduled_for }}", "2026-01-05 23:30:00+00:00"),
        ("{{ scheduled_for.date() }}", "2026-01-05"),
        ("{{ scheduled_for.hour }}", "23"),
        ("{{scheduled_for|date}}", "2026-01-05"),
        ("{{ scheduled_for | date('%Y/%m/%d %H:%M') }}", "2026/01/05 23:30"),
        ("{{ scheduled_for | in_timezone('Europe/Berlin') | date }}", "2026-01-06"),
        ("{{ scheduled_for | plus(days=-1) | date }}", "2026-01-04"),
        ("{{ scheduled_for | plus(months=1, years=-1) | date }}", "2025-02-05"),
        ("{{ scheduled_for | start_of('month') }}", "2026-01-01 00:00:00+00:00"),
        ("{{ scheduled_for | start_of('week') | date }}", "2026-01-05"),
        ("{{ day | plus(months=-1) | date }}", "2026-02-28"),
        ("{{ run.number }}{{ run.trigger }}", "7SCHEDULED"),
        ("{{ playground.name }}", "flights"),
        ("{{ playground.name | upper | quote }}", "'FLIGHTS'"),
        ("{{ n }} {{ x }} {{ yes }}", "-3 1.5 true"),
        ("a{{ empty }}b", "ab"),
        ("s3://{{ bucket }}", "s3://warehouse/a.b/c_d"),
        ("{{ '{{' }} x }}", "{{ x }}"),
    ],
)
def test_a_value_stands_for_its_expression(text: str, expected: str) -> None:
    parameters: dict[str, ParameterValue] = {
        "day": "2026-03-31", "n": -3, "x": 1.5, "yes": True, "empty": "", "bucket": "warehouse/a.b/c_d",
    }  # fmt: skip
    assert rendered(text, parameters) == expected


@pytest.mark.parametrize(
    "text", ["", "SELECT 1", "{% raw %}{# no #}\r\n }} { {x} \n", "# line statement\n##\ttail \r\n"]
)
def test_what_is_no_expression_arrives_as_it_was_written(text: str) -> None:
    assert not is_template(text)
    assert rendered(text) == text
    assert rendered(f"{text}{{{{ n }}}}\r\n{text}\n", {"n": 1}) == f"{text}1\r\n{text}\n"


@pytest.mark.parametrize("type", list(DIALECTS))
@pytest.mark.parametrize("value", [ODD, "", "'", "\\", "\\'", "''"])
def test_a_quoted_value_is_one_literal_that_reads_back_as_itself(type: TaskType, value: str) -> None:
    text = rendered("SELECT {{ value | quote }} AS v", {"value": value}, type=type)
    (translated,) = sqlglot.transpile(text, read=DIALECTS[type], write="duckdb")
    assert duckdb.connect().execute(translated).fetchall() == [(value,)]


def test_a_quoted_value_reads_back_as_itself_in_a_real_server(mariadb: MariaDB) -> None:
    text = rendered("SELECT HEX({{ value | quote }})", {"value": ODD}, type=TaskType.MYSQL)
    assert mariadb.execute(text).splitlines()[-1] == ODD.encode().hex().upper()


@pytest.mark.parametrize("value", [ODD, 5, -1.5, True, "''' \\", '"""'])
def test_a_quoted_value_is_one_python_literal(value: ParameterValue) -> None:
    text = rendered("x = {{ value | quote }}", {"value": value}, type=TaskType.PYSPARK)
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.Assign)
    assert ast.literal_eval(statement.value) == value


HARMFUL = ["a'b", 'a"b', "a\\b", "a;b", "a--b", "a/*b", "a b", "a\nb", "a#b", "a`b", "é", "\u02bc", "%", "(", "$x"]


@pytest.mark.parametrize("value", HARMFUL)
def test_a_value_with_other_than_harmless_characters_must_be_quoted(value: str) -> None:
    with pytest.raises(InvalidError, match=r"Line 2, column 8: .*quote"):
        rendered("--\nSELECT {{ value }}", {"value": value})
    rendered("--\nSELECT {{ value | quote }}", {"value": value})


@pytest.mark.parametrize("text", ["5 -{{ n }}", "{{ slash }}* x", "-{{ empty }}- x", "{{dash}}{{n}}"])
def test_a_value_makes_no_comment_with_what_stands_beside_it(text: str) -> None:
    with pytest.raises(InvalidError, match="comment"):
        rendered(text, {"n": -1, "slash": "a/", "dash": "a-", "empty": ""})


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("SELECT {{ nothing }}", "Line 1, column 11", "There is no «nothing». The names are: n, d, scheduled_for"),
        ("a\n\n {{ n | shout }}", "Line 3, column 9", "There is no filter «shout»"),
        ("a\n{{ n", "Line 2, column 1", "not closed"),
        ("{{ 'a }}", "Line 1, column 1", "not closed"),
        ("{{ }}", "Line 1, column 1", "no expression"),
        ("{{ n n }}", "Line 1, column 1", "not expected"),
        ("{{ n.__class__ }}", "Line 1, column 6", "no attribute"),
        ("{{ scheduled_for.__init__.__globals__ }}", "Line 1, column 27", "no attribute"),
        ("{{ n.year }}", "Line 1, column 6", "no attribute"),
        ("{{ run }}", "Line 1, column 1", "no text"),
        ("{{ scheduled_for.date }}", "Line 1, column 1", "no text"),
        ("{{ d | plus(days=10000000) }}", "Line 1, column 1", "whole numbers"),
        ("{{ d | plus(years=9000) }}", "Line 1, column 1", "no year"),
        ("{{ n | plus(days=1) }}", "Line 1, column 1", "no moment"),
        ("{{ d | date('%999999d') }}", "Line 1, column 1", "a format has"),
        ("{{ scheduled_for | in_timezone('../../etc/passwd') }}", "Line 1, column 1", "time zone"),
        ("{{ d | quote | upper }}", "Line 1, column 1", "no text"),
        ("{{ " + "(" * 200 + "n" + ")" * 200 + " }}", "Line 1, column 1", "deeply"),
        ("{{ n" + " | lower" * 50 + " }}", "Line 1, column 1", "too many parts"),
        ("{{ '\\x00' }}", "Line 1, column 1", "control characters"),
        ("{{ '\\ud800' }}", "Line 1, column 1", "control characters"),
        ("{{ self }}", "Line 1, column 4", "There is no «self»"),
        *((f"{{{{ {each} }}}}", "Line 1, column 1", "Only names") for each in (
            "n * 2", "n ** 9", "n + n", "'a' * 9", "range(9)", "[n]", "d[0]", "n if n else d", "n is defined", "n ~ d",
            "n > 1", "not n", "cycler('a')", "n | quote(*d)",
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(text: str, place: str, reason: str) -> None:
    with pytest.raises(InvalidError) as refused:
        rendered(text, {"n": 1, "d": "2026-01-05"})
    assert refused.value.path == ("query",)
    assert refused.value.message.startswith(f"{place}: ")
    assert reason in refused.value.message


def test_the_cost_of_a_text_is_bounded() -> None:
    with pytest.raises(TooLargeError):
        rendered("{{ n }} " * 201, {"n": 1})
    with pytest.raises(TooLargeError):
        rendered("{{ long | quote }} " * 101, {"long": "x" * 10_000})


def test_a_sample_has_a_value_for_every_name() -> None:
    text = "SELECT {{ column }}, {{ n }} FROM t WHERE day = {{ scheduled_for | date | quote }}"
    assert names_in(text) == {"column", "n", "scheduled_for"}
    sample = render_sample(text, type=TaskType.HIVE, scope=scope({"n": 3}))
    assert sample == "SELECT sample, 3 FROM t WHERE day = '2026-01-05'"


@pytest.mark.parametrize(
    ("pairs", "code", "path"),
    [
        ([("1a", 1)], ErrorCode.INVALID, ("parameters", "0", "name")),
        ([("", 1)], ErrorCode.INVALID, ("parameters", "0", "name")),
        ([("a", 1), ("run", 1)], ErrorCode.INVALID, ("parameters", "1", "name")),
        ([("None", 1)], ErrorCode.INVALID, ("parameters", "0", "name")),
        ([("a", 1), ("a", 2)], ErrorCode.INVALID, ("parameters", "1", "name")),
        ([("a", float("inf"))], ErrorCode.INVALID, ("parameters", "0", "value")),
        ([("a", 2**63)], ErrorCode.INVALID, ("parameters", "0", "value")),
        ([("a", "\0")], ErrorCode.INVALID, ("parameters", "0", "value")),
        ([("a", "\ud800")], ErrorCode.INVALID, ("parameters", "0", "value")),
        ([("a", "x" * 10_001)], ErrorCode.TOO_LARGE, ("parameters", "0", "value")),
        ([(f"a{n}", n) for n in range(101)], ErrorCode.TOO_LARGE, ("parameters",)),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(pairs: Any, code: ErrorCode, path: tuple[str, ...]) -> None:
    with pytest.raises(DomainError) as refused:
        checked_parameters(pairs)
    assert (refused.value.code, refused.value.path) == (code, path)


def test_a_run_may_override_what_is_known_and_nothing_else() -> None:
    known = checked_parameters([("day", "2026-01-05"), ("n", 1)])
    assert with_overrides(known, [("n", 2)]) == {"day": "2026-01-05", "n": 2}
    with pytest.raises(DomainError, match="It has: day, n") as refused:
        with_overrides(known, [("n", 2), ("m", 2)])
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert refused.value.path == ("parameters", "1", "name")

"""Which errors of a query are worth another attempt, and what they are called."""

import pytest

from app.engines.base import TerminalEngineError, TransientEngineError
from app.engines.presto.errors import engine_error
from app.engines.presto.statements import split_statements

_PARSING = {"failureInfo": {"type": "com.facebook.presto.sql.parser.ParsingException"}}
_SEMANTIC = {"failureInfo": {"type": "com.facebook.presto.sql.analyzer.SemanticException"}}


@pytest.mark.parametrize(
    ("name", "kind", "transient"),
    [
        ("CLUSTER_OUT_OF_MEMORY", "INSUFFICIENT_RESOURCES", True),
        ("QUERY_QUEUE_FULL", "INSUFFICIENT_RESOURCES", True),
        ("HIVE_METASTORE_ERROR", "EXTERNAL", True),
        ("NO_NODES_AVAILABLE", "INTERNAL_ERROR", True),
        ("SERVER_SHUTTING_DOWN", "INTERNAL_ERROR", True),
        ("REMOTE_TASK_ERROR", "INTERNAL_ERROR", True),
        ("EXCEEDED_TIME_LIMIT", "INSUFFICIENT_RESOURCES", False),
        ("EXCEEDED_LOCAL_MEMORY_LIMIT", "INSUFFICIENT_RESOURCES", False),
        ("GENERIC_INTERNAL_ERROR", "INTERNAL_ERROR", False),
        ("DIVISION_BY_ZERO", "USER_ERROR", False),
    ],
)
def test_the_error_s_name_and_type_say_whether_to_try_again(name, kind, transient):
    error = engine_error({"message": "words", "errorName": name, "errorType": kind})
    assert type(error) is (TransientEngineError if transient else TerminalEngineError)
    assert (error.code, error.message) == (name, "words")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"errorName": "SYNTAX_ERROR", "message": "x", **_PARSING}, "SYNTAX"),
        ({"errorName": "SYNTAX_ERROR", "message": "Table a.b.c does not exist", **_SEMANTIC}, "NOT_FOUND"),
        ({"errorName": "SYNTAX_ERROR", "message": "Column 'x' cannot be resolved", **_SEMANTIC}, "NOT_FOUND"),
        ({"errorName": "SYNTAX_ERROR", "message": "'=' cannot be applied to …", **_SEMANTIC}, "SEMANTIC"),
        ({"errorName": "TABLE_NOT_FOUND", "message": "x"}, "NOT_FOUND"),
        ({"errorName": "COLUMN_NOT_FOUND", "message": "x"}, "NOT_FOUND"),
        ({"errorName": "PERMISSION_DENIED", "message": "x"}, "PERMISSION"),
        ({}, "ENGINE_ERROR"),
    ],
)
def test_what_is_wrong_with_a_text_has_the_platform_s_word(error, code):
    found = engine_error({"errorType": "USER_ERROR", **error})
    assert (found.code, found.retriable) == (code, False)
    assert found.message


def test_a_place_is_told_in_the_whole_text():
    _, second = split_statements("SELECT 1;\n  SELECT\n nope")
    at = {"errorName": "COLUMN_NOT_FOUND", "message": "line {}:{}: no such column"}
    for line, column, told in ((1, 8, "line 2:10: "), (2, 2, "line 3:2: ")):
        error = {
            **at,
            "message": f"line {line}:{column}: no such column",
            "errorLocation": {"lineNumber": line, "columnNumber": column},
        }
        assert engine_error(error, second).message == told + "no such column"
        assert engine_error(error).message == error["message"]

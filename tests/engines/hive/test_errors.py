"""What a server's states, codes and messages become."""

import pytest

from app.engines.base import TerminalEngineError, TransientEngineError
from app.engines.hive.errors import ForgottenError, plain_message, server_error

SPARK = """org.apache.hive.service.cli.HiveSQLException: Error running query: [PARSE_SYNTAX_ERROR] org.apache.spark.\
sql.catalyst.parser.ParseException:
[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEKT'. SQLSTATE: 42601 (line 1, pos 0)

== SQL ==
SELEKT 1
^^^

\tat org.apache.spark.sql.hive.thriftserver.HiveThriftServerErrors$.runningQueryError(HiveThriftServerErrors.scala:43)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: more"""


def test_java_s_classes_and_stack_are_no_part_of_a_message():
    plain = plain_message(SPARK)
    assert plain.startswith("Syntax error at or near 'SELEKT'.")
    assert plain.endswith("SELEKT 1\n^^^")


@pytest.mark.parametrize(
    ("message", "state", "code", "word"),
    [
        ("x", "42601", 0, "SYNTAX"),
        ("x", "42P01", 0, "TABLE_NOT_FOUND"),
        ("Error while compiling statement: FAILED: ParseException line 1:0 x", "42000", 40000, "SYNTAX"),
        ("FAILED: SemanticException x", "42000", 40000, "INVALID_QUERY"),
        ("FAILED: SemanticException [Error 10001]: Table not found", "42S02", 10001, "TABLE_NOT_FOUND"),
        ("FAILED: SemanticException [Error 10072]: x", "42000", 10072, "DATABASE_NOT_FOUND"),
        ("x", "42501", 0, "PERMISSION"),
        ("x", "22012", 0, "DATA"),
        ("x", None, None, "ENGINE_ERROR"),
    ],
)
def test_what_the_text_is_at_fault_for_is_terminal(message, state, code, word):
    error = server_error(message, state=state, code=code)
    assert isinstance(error, TerminalEngineError)
    assert error.code == word


@pytest.mark.parametrize(
    ("state", "word"), [("08S01", "CONNECTION"), ("40001", "CONFLICT"), ("53200", "OUT_OF_MEMORY")]
)
def test_what_may_go_well_next_time_is_transient(state, word):
    error = server_error("x", state=state, code=0)
    assert isinstance(error, TransientEngineError)
    assert error.code == word


def test_what_the_server_has_forgotten_is_lost():
    message = "Invalid OperationHandle: OperationHandle [opType=EXECUTE_STATEMENT, getHandleIdentifier()=1850f53c]"
    error = server_error(message, state=None, code=0)
    assert isinstance(error, ForgottenError)
    assert error.code == "LOST"

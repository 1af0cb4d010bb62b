"""What clients are told of errors."""

import logging
import re

import pytest
from graphql import GraphQLError

from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.masking import ErrorMask
from tests.graphql.transport.toy_schema import Context, World, toy_schema
from tests.graphql.transport.toy_site import Log


async def error_of(site, query, **parameters):
    response = await site.post(query, **parameters)
    return response.json()["errors"][0]


async def test_an_unforeseen_exception_is_told_as_a_reference_and_logged_with_its_traceback(site):
    response = await site.post("query Q{broken}", operationName="Q")
    (error,) = response.json()["errors"]
    assert "hunter2" not in response.text
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["path"] == ["broken"]
    assert re.fullmatch("[0-9a-f]{12}", error["extensions"]["reference"])
    assert error["extensions"]["reference"] in error["message"]
    (event,) = site.log.events
    assert event["event"] == "graphql.internal_error"
    assert (event["reference"], event["path"], event["operation"]) == (error["extensions"]["reference"], "broken", "Q")
    kind, exception, traceback = event["exc_info"]
    assert (kind, str(exception)) == (RuntimeError, "password=hunter2")
    assert traceback is not None


@pytest.mark.parametrize("field", ["missing", "huge"])
async def test_a_wrong_value_of_a_resolver_is_internal_too(site, field):
    error = await error_of(site, f"{{{field}}}")
    assert error["extensions"]["code"] == "INTERNAL"
    assert "5000000000" not in str(error)
    assert len(site.log.events) == 1


@pytest.mark.parametrize(
    ("field", "code", "words"),
    [
        ("refused", "CONFLICT", "Run 7 is on."),
        ("unauthenticated", "UNAUTHENTICATED", "Sign in first"),
        ("forbidden", "FORBIDDEN", "may not"),
        ("deliberate", "RATE_LIMITED", "Slow down."),
    ],
)
async def test_a_refusal_keeps_its_words_and_code_and_is_not_logged(site, field, code, words):
    error = await error_of(site, f"{{{field}}}")
    assert error["extensions"]["code"] == code
    assert words in error["message"]
    assert error["path"] == [field]
    assert error["locations"] == [{"line": 1, "column": 2}]
    assert site.log.events == []


async def test_a_refusal_of_the_domain_names_the_input_that_it_is_about(site):
    error = await error_of(site, "{refused}")
    assert error["extensions"]["path"] == ["input", "name"]


async def test_what_fails_for_many_objects_at_once_is_logged_once() -> None:
    log, cause = Log(), RuntimeError("hunter2")
    errors = [GraphQLError("x", path=["rows", index], original_error=cause) for index in range(100)]
    masked = ErrorMask(logger=log).execution([*errors, GraphQLError("y", original_error=RuntimeError("other"))])
    assert len(log.events) == 2
    assert len({error["extensions"]["reference"] for error in masked}) == 2
    assert [error.get("path") for error in masked[:2]] == [["rows", 0], ["rows", 1]]


@pytest.mark.parametrize(
    ("query", "variables", "code", "words"),
    [
        ("{hello", None, "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ("{helo}", None, "GRAPHQL_VALIDATION_FAILED", "Did you mean 'hello'"),
        ("{hello(name:1)}", None, "GRAPHQL_VALIDATION_FAILED", "String cannot represent"),
        ("query($n:String!){hello(name:$n)}", None, "BAD_USER_INPUT", "$n"),
        ("query($n:String!){hello(name:$n)}", {"n": {"a": 1}}, "BAD_USER_INPUT", "$n"),
        ("query($n:String){hello(name:$n)}", {"n": None}, "BAD_USER_INPUT", "name"),
        ("query($n:Int!){children(first:$n){edges{node{name}}}}", {"n": 2**31}, "BAD_USER_INPUT", "32-bit"),
    ],
)
async def test_errors_of_the_client_keep_their_words(site, query, variables, code, words):
    error = await error_of(site, query, variables=variables)
    assert error["extensions"]["code"] == code
    assert words in error["message"]
    assert site.log.events == []


async def test_without_a_logger_of_its_own_the_mask_writes_to_the_process_log(caplog, capsys):
    executor = GraphQLExecutor(schema=toy_schema(), mask=ErrorMask())
    with caplog.at_level(logging.ERROR):
        await executor.execute(executor.prepare("{broken}"), variables={}, context=Context(World(), None))
    assert "hunter2" in caplog.text + "".join(capsys.readouterr())

"""The cache of documents and the choice of an operation."""

import pytest

from app.graphql.transport import documents
from app.graphql.transport.documents import DocumentCache, DocumentDesk, PreparedOperation, Refusal
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.limits import Limits
from app.graphql.transport.masking import ErrorMask
from tests.graphql.transport.toy_schema import toy_schema


@pytest.fixture
def executor():
    return GraphQLExecutor(schema=toy_schema())


def desk(max_entries=10, max_bytes=10**7):
    cache = DocumentCache(max_entries=max_entries, max_bytes=max_bytes)
    return DocumentDesk(schema=toy_schema()._schema, limits=Limits(), mask=ErrorMask(), cache=cache), cache


def test_the_same_text_is_parsed_and_validated_once(monkeypatch):
    a_desk, _ = desk()
    calls = []
    real = documents.validate
    monkeypatch.setattr(documents, "validate", lambda *args: calls.append(1) or real(*args))
    first = a_desk.prepare("{hello}", None)
    validations = len(calls)
    assert a_desk.prepare("{hello}", None) is first
    assert len(calls) == validations


def test_a_refused_document_is_remembered_as_well(monkeypatch):
    a_desk, _ = desk()
    first = a_desk.prepare("{nope}", None)
    monkeypatch.setattr(documents, "validate", None)
    assert a_desk.prepare("{nope}", None) is first


def test_the_cache_holds_no_more_documents_than_it_may():
    a_desk, cache = desk(max_entries=3)
    for number in range(10):
        a_desk.prepare(f"{{hello}}#{number}", None)
    assert len(cache) == 3


def test_the_cache_holds_no_more_bytes_than_it_may_and_counts_them_down_again():
    a_desk, cache = desk(max_entries=10_000, max_bytes=100_000)
    for number in range(300):
        a_desk.prepare("{" + "hello " * 20 + f"}}#{number}", None)
        assert cache.weight_bytes <= 100_000
    assert 3 < len(cache) < 30


def test_one_giant_document_does_not_push_the_others_out():
    a_desk, cache = desk(max_entries=10_000, max_bytes=100_000)
    a_desk.prepare("{hello}", None)
    a_desk.prepare("{hello}#" + "x" * 20_000, None)
    assert cache.get("{hello}") is not None


def test_several_operations_without_a_name_run_none(executor):
    prepared = executor.prepare("query A{hello} query B{hello}")
    assert isinstance(prepared, Refusal)
    assert "name one of A, B" in prepared.errors[0]["message"]


def test_the_named_operation_is_chosen(executor):
    prepared = executor.prepare("query A{hello} query B{viewer}", "B")
    assert isinstance(prepared, PreparedOperation)
    assert prepared.name == "B"


@pytest.mark.parametrize(
    ("query", "name", "words"),
    [
        ("query A{hello}", "C", "no operation named 'C'"),
        ("fragment F on Node{name}", None, "never used"),
        ("", None, "Syntax Error"),
    ],
)
def test_an_operation_that_is_not_there_is_refused(executor, query, name, words):
    prepared = executor.prepare(query, name)
    assert isinstance(prepared, Refusal)
    assert words in prepared.errors[0]["message"]


@pytest.mark.parametrize(
    ("query", "cursors"),
    [
        ("subscription($a:String){ticks(after:$a){number}}", {"a"}),
        ("subscription($a:String,$t:String!){ticks(topic:$t,after:$a){number}}", {"a"}),
        ("subscription($a:String!){ticks(after:$a){echo(text:$a)}}", set()),
        ("subscription($a:String!){ticks(after:$a,topic:$a){number}}", set()),
        ("subscription($a:String!){ticks(after:$a){...F}} fragment F on Tick{echo(text:$a)}", set()),
        ("subscription($a:String){...S} fragment S on Subscription{ticks(after:$a){number}}", set()),
        ("query($a:String){hello(name:$a)}", set()),
    ],
)
def test_only_a_variable_used_as_cursor_and_nowhere_else_is_left_out_of_what_is_shared(executor, query, cursors):
    prepared = executor.prepare(query)
    if isinstance(prepared, Refusal):
        assert "type" in prepared.errors[0]["message"]
    else:
        assert prepared.cursor_variables == cursors

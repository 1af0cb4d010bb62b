"""What a document may ask for, and that finding out is cheap."""

import time

import pytest
from graphql import get_introspection_query

from app.graphql.transport.documents import PreparedOperation, Refusal
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.limits import Limits
from tests.graphql.transport.toy_schema import toy_schema


@pytest.fixture
def executor():
    return GraphQLExecutor(schema=toy_schema())


def refused_limits(prepared):
    assert isinstance(prepared, Refusal)
    assert {error["extensions"]["code"] for error in prepared.errors} == {"TOO_COSTLY"}
    return {error["extensions"]["limit"] for error in prepared.errors}


def doubling_fragments(count, link):
    links = "".join(f"fragment F{i} on Node{{{link(i + 1)}}}" for i in range(count))
    return "{node{...F0}}" + links + f"fragment F{count} on Node{{name}}"


@pytest.mark.parametrize(
    "link",
    [lambda i: f"...F{i} ...F{i}", lambda i: f"a:friend{{...F{i}}} b:friend{{...F{i}}}"],
    ids=["spread twice", "spread under two aliases"],
)
def test_fragments_that_expand_to_millions_of_fields_are_refused_within_milliseconds(executor, link):
    document = doubling_fragments(21, link)
    assert len(document) < 1_300
    seconds = []
    for attempt in range(5):  # the quickest of five: other work on the machine must not fail this
        started = time.perf_counter()
        prepared = executor.prepare(f"{document}#{attempt}")
        seconds.append(time.perf_counter() - started)
    assert "FIELDS" in refused_limits(prepared)
    assert min(seconds) < 0.005


@pytest.mark.parametrize(
    "fragments",
    [
        "fragment A on Node{...A}",
        "fragment A on Node{friend{...B}} fragment B on Node{friend{...C}} fragment C on Node{...A}",
    ],
)
def test_fragments_that_spread_themselves_are_refused_in_the_words_of_the_specification(executor, fragments):
    prepared = executor.prepare("{node{...A}}" + fragments)
    assert isinstance(prepared, Refusal)
    assert prepared.errors[0]["message"].startswith("Cannot spread fragment 'A' within itself")
    assert prepared.errors[0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


def test_many_fragments_in_circles_through_each_other_are_refused_within_milliseconds(executor):
    spreads = " ".join(f"...F{i}" for i in range(21))
    fragments = "".join(f"fragment F{i} on Node{{{spreads}}}" for i in range(21))
    started = time.perf_counter()
    assert isinstance(executor.prepare("{node{...F0}}" + fragments), Refusal)
    assert time.perf_counter() - started < 0.2


def test_a_long_chain_of_fragments_does_not_exhaust_the_stack(executor):
    executor = GraphQLExecutor(schema=toy_schema(), limits=Limits(max_tokens=20_000))
    prepared = executor.prepare(doubling_fragments(1_500, lambda i: f"...F{i}"))
    assert isinstance(prepared, Refusal)


@pytest.mark.parametrize(
    ("document", "limit"),
    [
        ("{" + " ".join(f"a{i}:hello" for i in range(31)) + "}", "ROOT_FIELDS"),
        ("mutation{" + " ".join(f'a{i}:write(text:"")' for i in range(11)) + "}", "ROOT_FIELDS"),
        ("{node" + "{friend" * 20 + "{name}" + "}" * 21, "DEPTH"),
        ("{node" + "{friend" * 2_000 + "{name}" + "}" * 2_001, "DEPTH"),
        ("{node{" + " ".join(f"a{i}:name" for i in range(101)) + "}}", "ALIASES"),
        ("{node{" + "name @skip(if:false) " * 101 + "}}", "DIRECTIVES"),
        ("{" + "hello " * 2_001 + "}", "TOKENS"),
        ("#" + "x" * 300_000 + "\n{hello}", "CHARACTERS"),
        ("".join(f"query Q{i}{{hello}} " for i in range(51)), "OPERATIONS"),
        ("{__schema{types{fields{type{fields{type{fields{name}}}}}}}}", "INTROSPECTION"),
        (
            "{" + " ".join(f"a{i}:__schema{{...S}}" for i in range(25)) + "}"
            "fragment S on __Schema{types{fields{args{type{...T}} type{...T}}}}"
            "fragment T on __Type{name ofType{name ofType{name ofType{name kind}}}}",
            "INTROSPECTION",
        ),
        ("{" + "children(first:100){edges{node{" * 3 + "name" + "}}}" * 3 + "}", "COST"),
        ("{node" + "{friends" * 6 + "{name}" + "}" * 7, "COST"),
    ],
)
def test_a_document_over_a_limit_is_refused_with_the_limit_named(executor, document, limit):
    assert limit in refused_limits(executor.prepare(document))


def test_a_refusal_gives_its_figures_and_says_what_to_do(executor):
    prepared = executor.prepare("{node" + "{friend" * 20 + "{name}" + "}" * 21)
    (error,) = prepared.errors
    assert error["extensions"] == {"code": "TOO_COSTLY", "limit": "DEPTH", "maximum": 15, "actual": 22}
    assert "22 levels" in error["message"]
    assert "Ask for the deeper part by its id." in error["message"]


def test_a_fragment_that_no_operation_spreads_is_held_against_the_limits(executor):
    unused = doubling_fragments(21, lambda i: f"...F{i} ...F{i}").replace("{node{...F0}}", "{hello}")
    assert "FIELDS" in refused_limits(executor.prepare(unused))


def test_the_introspection_of_graphiql_and_of_code_generators_passes(executor):
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    assert isinstance(executor.prepare(query), PreparedOperation)


async def test_a_page_size_in_a_variable_is_held_against_the_cost_when_it_is_known(executor):
    query = (
        "query($n:Int=100){children(first:$n){edges{node{children(first:$n){edges{node{"
        "children(first:$n){edges{node{name}}}}}}}}}}"
    )
    prepared = executor.prepare(query)
    assert isinstance(prepared, PreparedOperation)
    small = await executor.execute(prepared, variables={"n": 5}, context=None)
    assert small == {"data": {"children": {"edges": []}}}
    for variables in ({"n": 100}, {}, {"n": 10**12}):
        large = await executor.execute(prepared, variables=variables, context=None)
        assert large["errors"][0]["extensions"]["limit"] == "COST"


async def test_a_page_size_in_a_fragment_counts_with_the_variables_of_its_operation(executor):
    page = "children(first:$n){edges{node{%s}}}"
    query = f"query($n:Int){{node{{...F}}}} fragment F on Node{{{page % (page % (page % 'name'))}}}"
    prepared = executor.prepare(query)
    assert "data" in await executor.execute(prepared, variables={"n": 2}, context=None)
    large = await executor.execute(prepared, variables={"n": 99}, context=None)
    assert large["errors"][0]["extensions"]["limit"] == "COST"


def test_a_usual_query_of_a_dashboard_passes(executor):
    page = "children(first:10){edges{node{%s}}}"
    query = f"{{node{{name friends{{name}} {page % ('name friend{name ' + page % 'name' + '}')}}}}}"
    assert isinstance(executor.prepare(query), PreparedOperation)

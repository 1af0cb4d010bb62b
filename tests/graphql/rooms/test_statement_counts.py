"""No list costs more SQL statements for more rows: every field of every type is asked for below lists of two lengths.

The cases come from the schema. A new field is covered by itself, or fails here until its arguments, or the reason why
it cannot be counted, are named in one of the tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from graphql import (
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from app.graphql.context import RequestContext
from app.graphql.ids import to_global
from app.graphql.schema import build_schema
from app.graphql.transport.documents import Refusal
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.limits import Limits
from tests.graphql.rooms.conftest import Site
from tests.graphql.rooms.history import grow
from tests.graphql.rooms.statements import Statements
from tests.support.workbench import Workbench

EXECUTOR = GraphQLExecutor(schema=build_schema(), limits=Limits(max_cost=10**9))
SCHEMA = EXECUTOR._schema
START = ("playgrounds(first: 50)", "nodes")  # a list from which every type is reached
ARGUMENTS = {
    "ReconciliationResult.samples": "(kind: CHANGED)",
}
EXEMPT = {
    "Playground.backfillPreview": "a form asks for it, about the one playground that it is for",
    "Output.preview": "reads a file of the output store, and asks the database nothing",
}
ROOTS = {  # fields of Query that give a list, and who counts them
    "playgrounds": "START",
    "udfs": "test_a_list_of_udfs_costs_the_same_for_many_as_for_few",
    "nodes": "test_nodes_cost_the_same_for_many_ids_as_for_few",
    "connections": "asks engines, and the database nothing",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A field below lists; `path` leads from the root to its type."""

    type: str
    field: str
    path: tuple[str, ...]
    selection: str

    @property
    def name(self) -> str:
        return f"{self.type}.{self.field}"

    @property
    def document(self) -> str:
        return "{ " + " { ".join((*self.path, self.selection)) + " }" * (len(self.path) + 1)


def object_fields(type_: GraphQLNamedType) -> Iterator[tuple[str, GraphQLField]]:
    if isinstance(type_, GraphQLObjectType):
        yield from type_.fields.items()


def called(type_: str, name: str) -> str:
    return name + ARGUMENTS.get(f"{type_}.{name}", "")


def leaves(type_: GraphQLNamedType) -> str:
    """All fields of a type that have none themselves."""
    assert isinstance(type_, GraphQLObjectType)
    return " ".join(
        ["__typename"]
        + [called(type_.name, name) for name, field in object_fields(type_) if is_leaf_type(get_named_type(field.type))]
    )


def paths() -> dict[str, tuple[str, ...]]:
    """The shortest way below START to each object type that it leads to."""
    found: dict[str, tuple[str, ...]] = {"Playground": START}
    waiting = ["Playground"]
    while waiting:
        name = waiting.pop(0)
        for field_name, field in object_fields(SCHEMA.type_map[name]):
            target = get_named_type(field.type)
            exempt = f"{name}.{field_name}" in EXEMPT
            if isinstance(target, GraphQLObjectType) and target.name not in found and not exempt:
                found[target.name] = (*found[name], called(name, field_name))
                waiting.append(target.name)
    return found


def cases() -> Iterator[Case]:
    for name, path in paths().items():
        type_ = SCHEMA.type_map[name]
        yield Case(type=name, field="leaves", path=path, selection=leaves(type_))
        for field_name, field in object_fields(type_):
            target = get_named_type(field.type)
            if isinstance(target, GraphQLObjectType) and f"{name}.{field_name}" not in EXEMPT:
                inner = leaves(target)
                # What a connection or a batch holds is what its resolver reads.
                for nested_name, nested in object_fields(target):
                    nested_type = get_named_type(nested.type)
                    if target.name.endswith("Connection") and isinstance(nested_type, GraphQLObjectType):
                        inner += f" {nested_name} {{ {leaves(nested_type)} }}"
                selection = f"__typename {called(name, field_name)} {{ {inner} }}"
                yield Case(type=name, field=field_name, path=path, selection=selection)


CASES = list(cases())


def test_every_field_with_required_arguments_and_every_list_of_the_root_is_named() -> None:
    for name in paths():
        for field_name, field in object_fields(SCHEMA.type_map[name]):
            named = f"{name}.{field_name}" in ARGUMENTS.keys() | EXEMPT.keys()
            assert named or not any(map(is_required_argument, field.args.values())), f"{name}.{field_name}"
    assert SCHEMA.query_type
    lists = {
        name
        for name, field in SCHEMA.query_type.fields.items()
        if "[" in str(field.type) or "Connection" in str(field.type)
    }
    assert lists == set(ROOTS)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_no_list_costs_more_statements_for_more_rows(bench: Workbench) -> None:
    statements = Statements(bench)
    await grow(bench, playgrounds=2, runs=2, tasks=2)
    few = {case: await asked(bench, statements, case) for case in CASES}
    await grow(bench, playgrounds=3, runs=4, tasks=5)
    dearer, barren = [], []
    for case, (before, rows_before) in few.items():
        after, rows_after = await asked(bench, statements, case)
        if after != before:
            dearer.append((case.name, before, after, case.document))
        if not 0 < rows_before < rows_after:
            barren.append((case.name, rows_before, rows_after, case.document))
    assert not dearer
    assert not barren, "there are no rows to tell by: let `grow` make some"


async def asked(bench: Workbench, statements: Statements, case: Case) -> tuple[int, int]:
    """How many statements an answer took, and how often the case's type was in it."""
    prepared = EXECUTOR.prepare(case.document)
    assert not isinstance(prepared, Refusal), prepared
    statements.texts.clear()
    answer = await EXECUTOR.execute(
        prepared, variables={}, context=RequestContext(services=bench.services, viewer=bench.viewer)
    )
    assert "errors" not in answer, (case.name, answer)
    return len(statements.texts), EXECUTOR.encode(answer).count(f'"__typename":"{case.type}"'.encode())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_list_of_udfs_costs_the_same_for_many_as_for_few(site: Site) -> None:
    statements = Statements(site.bench)
    counts = []
    for _ in range(2):
        await grow(site.bench, playgrounds=2, runs=0, tasks=2)
        count, value = await statements.of(
            site.owner, "{ udfs { nodes { id usedBy { id playground { id } udfs { id } } } } }"
        )
        counts.append((count, len(value["nodes"])))
    assert all(node["usedBy"][0]["udfs"] for node in value["nodes"])
    assert counts[0][0] == counts[1][0] <= 6, statements.texts
    assert counts[0][1] < counts[1][1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nodes_cost_the_same_for_many_ids_as_for_few(site: Site) -> None:
    statements = Statements(site.bench)
    grown = await grow(site.bench, playgrounds=3, runs=3, tasks=3)
    document = "query($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }"
    counts = []
    for size in (2, 6):
        ids = [to_global(kind, key) for kind, keys in grown.items() for key in keys[:size]]
        count, nodes = await statements.of(site.owner, document, ids=ids)
        assert [node["id"] for node in nodes] == ids
        counts.append(count)
    assert counts[0] == counts[1]
    assert {node["__typename"] for node in nodes} == set(grown)

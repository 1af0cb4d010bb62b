"""The schema: the exported file is current, and everything in it says what it is."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema
from graphql import build_schema as parse_schema

from app.graphql.schema import build_schema

ROOT = Path(__file__).resolve().parents[2]
EXPORTED = ROOT / "schema.graphql"


def test_the_exported_schema_is_current() -> None:
    assert EXPORTED.read_text(encoding="utf-8") == f"{build_schema()}\n", "run scripts/export-schema and commit"


def test_everything_has_a_description() -> None:
    assert not [place for place, description in described(exported()) if not description]


def test_descriptions_are_sentences() -> None:
    odd = [
        place
        for place, description in described(exported())
        if description and (not description.rstrip().endswith((".", ")")) or description[0].islower())
    ]
    assert not odd


def test_names_are_in_graphqls_own_style() -> None:
    names = {place.rpartition(".")[2] for place, _ in described(exported())}
    assert not [name for name in names if "_" in name and not name.isupper()]


def test_every_mutation_takes_one_input_and_gives_a_payload_with_errors() -> None:
    schema = build_schema()._schema
    assert schema.mutation_type is not None
    for name, field in schema.mutation_type.fields.items():
        assert [*field.args] == ["input"], name
        payload = field.type.of_type  # type: ignore[union-attr]  # a payload is never null
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["errors"].type) == "[UserError!]!", name


def test_the_script_exports_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "exported.graphql"
    script = [ROOT / "scripts" / "export-schema", path]
    subprocess.run(script, env={**os.environ, "QUIET": "yes"}, cwd=tmp_path, check=True, timeout=60)
    assert path.read_text(encoding="utf-8") == EXPORTED.read_text(encoding="utf-8")


def exported() -> GraphQLSchema:
    return parse_schema(EXPORTED.read_text(encoding="utf-8"))


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Each type, field, argument and enum value that is the schema's own."""
    for name, type_ in schema.type_map.items():
        if name.startswith("__") or name in {"ID", "Int", "Float", "String", "Boolean"}:
            continue
        yield name, type_.description
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{name}.{value}", each.description) for value, each in type_.values.items())
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((f"{name}.{field}", each.description) for field, each in type_.fields.items())
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for field, each in type_.fields.items():
                yield f"{name}.{field}", each.description
                yield from ((f"{name}.{field}.{arg}", found.description) for arg, found in each.args.items())

"""Answers fields that are mere attributes without graphql-core's machinery, which takes most of a long answer's time.

For each field graphql-core makes an info object, a path and arguments, and asks a dozen questions of its type. A field
that has no resolver of its own, and whose type is a scalar or an enum, needs none of that: its attribute is read and
written out. An object where that does not go smoothly, because of an error or a null that may not be, goes
graphql-core's own way, with all its fields.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    TypeNameMetaFieldDef,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import GroupedFieldSet
from graphql.pyutils import Path, Undefined
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plain:
    name: str  # in the answer
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    required: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Selection:
    """What is selected of one type, set apart; `whole` keeps the object alive whose identity is the key."""

    whole: GroupedFieldSet
    plain: tuple[_Plain, ...]
    others: GroupedFieldSet


class PlainFieldExecutor(StrawberryGraphQLCoreExecutionContext):
    """Executes one operation, as every executor of graphql-core."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._selections: dict[int, _Selection] = {}

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        selection = self._selections.get(id(grouped_field_set))
        if selection is None:
            selection = _set_apart(self.schema, parent_type, grouped_field_set)
            self._selections[id(grouped_field_set)] = selection
        plain = _written(source_value, selection.plain)
        if plain is None:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        if not selection.others:
            return plain
        others = super().execute_fields(parent_type, source_value, path, selection.others, position_context)
        if isinstance(others, dict):
            return _merged(grouped_field_set, plain, others)
        return _merged_later(grouped_field_set, plain, others)


def _set_apart(schema: GraphQLSchema, parent_type: GraphQLObjectType, fields: GroupedFieldSet) -> _Selection:
    plain: list[_Plain] = []
    others: GroupedFieldSet = {}
    for name, details in fields.items():
        found = _plain(name, schema.get_field(parent_type, details[0].node.name.value), parent_type)
        if found is None:
            others[name] = details
        else:
            plain.append(found)
    return _Selection(whole=fields, plain=tuple(plain), others=others)


def _plain(name: str, field: GraphQLField | None, parent_type: GraphQLObjectType) -> _Plain | None:
    if field is None:
        return None
    if field is TypeNameMetaFieldDef:  # many clients ask every object for it
        return _Plain(name=name, read=lambda _source: parent_type.name, write=str, required=True)
    type_ = get_nullable_type(field.type)
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field or not is_leaf_type(type_):
        return None
    return _Plain(
        name=name,
        read=attrgetter(definition.python_name),
        write=type_.coerce_output_value,
        required=is_non_null_type(field.type),
    )


def _written(source: Any, fields: tuple[_Plain, ...]) -> dict[str, Any] | None:
    """The fields by their names in the answer; None where one of them needs more care."""
    results: dict[str, Any] = {}
    try:
        for field in fields:
            value = field.read(source)
            if value is not None:
                value = field.write(value)
                if value is None or value is Undefined:
                    return None
            elif field.required:
                return None
            results[field.name] = value
    except Exception:  # noqa: BLE001 - whatever it is, graphql-core meets it again, and reports it at its place
        return None
    return results


async def _merged_later(
    order: GroupedFieldSet, plain: dict[str, Any], others: Awaitable[Mapping[str, Any]]
) -> dict[str, Any]:
    return _merged(order, plain, await others)


def _merged(order: GroupedFieldSet, plain: dict[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain[name] if name in plain else others[name] for name in order}

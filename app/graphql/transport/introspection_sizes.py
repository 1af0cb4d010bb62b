"""How long the lists of introspection are in one schema, so that its cost is estimated from the truth."""

from collections.abc import Collection, Mapping, Sized

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
)


def introspection_list_sizes(schema: GraphQLSchema) -> Mapping[str, int]:
    """Gives the usual length of each introspection list, by `Type.field`."""
    types = list(schema.type_map.values())
    composites = [type_ for type_ in types if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)]
    fields = [field for type_ in composites for field in type_.fields.values()]
    return {
        "__Schema.types": len(types),
        "__Schema.directives": len(schema.directives),
        "__Type.fields": _mean([type_.fields for type_ in composites]),
        "__Type.interfaces": _mean([type_.interfaces for type_ in composites]),
        "__Type.possibleTypes": 1,
        "__Type.inputFields": _mean([type_.fields for type_ in types if isinstance(type_, GraphQLInputObjectType)]),
        "__Type.enumValues": _mean([type_.values for type_ in types if isinstance(type_, GraphQLEnumType)]),
        "__Field.args": _mean([field.args for field in fields]),
        "__Directive.args": _mean([directive.args for directive in schema.directives]),
    }


def _mean(collections: Collection[Sized]) -> int:
    return max(1, -(-sum(map(len, collections)) // max(1, len(collections))))

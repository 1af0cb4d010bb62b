"""The size of an operation: depth, breadth and estimated cost, found in time linear in the document.

Every fragment is measured once and its measure added wherever it is spread, so 21 small fragments that
expand to millions of fields cost no more than their text. The sums stop at a ceiling, or they would be
numbers of thousands of digits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from app.graphql.transport.introspection_sizes import introspection_list_sizes

SIZE_ARGUMENTS = frozenset({"first", "last", "limit", "count", "ids"})
EDGE_FIELDS = frozenset({"edges", "nodes"})
INTROSPECTION_LISTS = frozenset({"fields", "inputFields", "interfaces", "possibleTypes"})


class FragmentCycleError(Exception):
    """A fragment spreads itself, `names` in order around the circle."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(" → ".join(names))
        self.names = names


class SizeEstimates(Protocol):
    """What the estimate takes a list to be where the document does not say."""

    @property
    def page_size(self) -> int: ...
    @property
    def max_page_size(self) -> int: ...
    @property
    def list_size(self) -> int: ...
    @property
    def list_sizes(self) -> Mapping[str, int]: ...


@dataclass(kw_only=True, slots=True)
class Measure:
    """One selection set with all that hangs below it."""

    CEILING: ClassVar[int] = 10**9

    root_fields: int = 0
    fields: int = 0
    depth: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    introspection_depth: int = 0
    introspection_lists: int = 0
    introspection_cost: int = 0
    sized_by_variables: bool = False  # then the cost is known only with the request's variables

    def add(self, other: "Measure") -> None:
        """Takes in what stands on the same level."""
        ceiling = Measure.CEILING
        self.root_fields = min(self.root_fields + other.root_fields, ceiling)
        self.fields = min(self.fields + other.fields, ceiling)
        self.aliases = min(self.aliases + other.aliases, ceiling)
        self.directives = min(self.directives + other.directives, ceiling)
        self.cost = min(self.cost + other.cost, ceiling)
        self.introspection_cost = min(self.introspection_cost + other.introspection_cost, ceiling)
        self.depth = max(self.depth, other.depth)
        self.introspection_depth = max(self.introspection_depth, other.introspection_depth)
        self.introspection_lists = max(self.introspection_lists, other.introspection_lists)
        self.sized_by_variables = self.sized_by_variables or other.sized_by_variables


class Ruler:
    """Measures the operations of one schema's documents."""

    def __init__(self, *, schema: GraphQLSchema, estimates: SizeEstimates) -> None:
        self._schema = schema
        self._estimates = estimates
        self._list_sizes = {**introspection_list_sizes(schema), **estimates.list_sizes}

    def measure(self, document: DocumentNode) -> list[tuple[OperationDefinitionNode, Measure]]:
        """Measures every operation; raises FragmentCycleError. Lists sized by variables count as usual lists."""
        walk = self._walk(document, {}, {})
        # A fragment that no operation uses is validated all the same, so its size counts as well.
        widest = max((measure.fields for measure in walk.fragments.values()), default=0)
        measures = []
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                measure = walk.operation(node)
                measure.fields = max(measure.fields, widest)
                measures.append((node, measure))
        return measures

    def measure_with(
        self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> Measure:
        """Measures one operation as it is called, with the sizes that its variables give."""
        defaults = {item.variable.name.value: item.default_value for item in operation.variable_definitions or ()}
        return self._walk(document, variables, defaults).operation(operation)

    def _walk(
        self, document: DocumentNode, variables: Mapping[str, Any], defaults: Mapping[str, ValueNode | None]
    ) -> "_Walk":
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        walk = _Walk(self._schema, self._estimates, self._list_sizes, variables, defaults)
        # In an order in which every fragment comes after those that it spreads: no recursion through fragments,
        # whose chain may be as long as the document.
        for name in _spread_order(fragments):
            walk.add_fragment(fragments[name])
        return walk


def _spread_order(fragments: Mapping[str, FragmentDefinitionNode]) -> list[str]:
    spreads = {name: list(_spreads(node.selection_set)) for name, node in fragments.items()}
    order: list[str] = []
    done: set[str] = set()
    for root in fragments:
        path: dict[str, Iterator[str]] = {} if root in done else {root: iter(spreads[root])}
        while path:
            name, rest = next(reversed(path.items()))
            following = next((spread for spread in rest if spread in fragments and spread not in done), None)
            if following is None:
                del path[name]
                done.add(name)
                order.append(name)
            elif following in path:
                circle = list(path)
                raise FragmentCycleError((*circle[circle.index(following) :], following))
            else:
                path[following] = iter(spreads[following])
    return order


def _spreads(selection_set: SelectionSetNode) -> Iterator[str]:
    stack = [selection_set]
    while stack:
        for selection in stack.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                yield selection.name.value
            elif (nested := getattr(selection, "selection_set", None)) is not None:
                stack.append(nested)


class _Walk:
    """One pass over one document with one set of variables."""

    def __init__(
        self,
        schema: GraphQLSchema,
        estimates: SizeEstimates,
        list_sizes: Mapping[str, int],
        variables: Mapping[str, Any],
        defaults: Mapping[str, ValueNode | None],
    ) -> None:
        self._schema = schema
        self._estimates = estimates
        self._list_sizes = list_sizes
        self._given = variables
        self._defaults = defaults
        self.fragments: dict[str, Measure] = {}

    def add_fragment(self, node: FragmentDefinitionNode) -> None:
        parent = self._schema.get_type(node.type_condition.name.value)
        measure = self._selection_set(node.selection_set, parent)
        measure.directives += len(node.directives or ())
        self.fragments[node.name.value] = measure

    def operation(self, node: OperationDefinitionNode) -> Measure:
        measure = self._selection_set(node.selection_set, self._schema.get_root_type(node.operation))
        measure.directives += len(node.directives or ())
        return measure

    def _selection_set(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> Measure:
        total = Measure()
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                part = self._field(selection, parent)
            elif isinstance(selection, FragmentSpreadNode):
                part = self.fragments.get(selection.name.value) or Measure()
            else:
                condition = getattr(selection, "type_condition", None)
                inner = self._schema.get_type(condition.name.value) if condition else parent
                part = self._selection_set(selection.selection_set, inner)  # type: ignore[attr-defined]  # inline fragment
            total.add(part)
            total.directives += len(selection.directives or ())
        return total

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Measure:
        name = node.name.value
        definition = None
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            definition = self._schema.get_field(parent, name)
        named = get_named_type(definition.type) if definition else None
        measure = Measure()
        own, times = 1, 1
        if node.selection_set:
            measure = self._selection_set(node.selection_set, named)
            if definition is not None and parent is not None:
                times, sized_by_variables = self._times(node, parent, definition)
                measure.sized_by_variables |= sized_by_variables
                own = times if is_list_type(get_nullable_type(definition.type)) else 1
        measure.root_fields = 1
        measure.fields += 1
        measure.aliases += 1 if node.alias else 0
        if name.startswith("__") or (parent is not None and parent.name.startswith("__")):
            measure.introspection_depth = 1 + max(measure.introspection_depth, measure.depth)
            measure.depth = 0
            measure.introspection_lists += name in INTROSPECTION_LISTS
            measure.introspection_cost = min(own + times * measure.introspection_cost, Measure.CEILING)
        else:
            measure.depth += 1
            measure.cost = min(own + times * measure.cost, Measure.CEILING)
        return measure

    def _times(self, node: FieldNode, parent: GraphQLNamedType, definition: GraphQLField) -> tuple[int, bool]:
        """Says how often the field's selection is resolved, and whether a variable decides it."""
        named = get_named_type(definition.type)
        is_list = is_list_type(get_nullable_type(definition.type))
        is_connection = named.name.endswith("Connection")
        if is_leaf_type(named) or not (is_list or is_connection):
            return 1, False
        if is_list and parent.name.endswith("Connection") and node.name.value in EDGE_FIELDS:
            return 1, False  # the connection's page size has multiplied it already
        size, sized_by_variables = self._asked_size(node, definition)
        if size is None:
            usual = self._estimates.page_size if is_connection else self._estimates.list_size
            size = self._list_sizes.get(f"{parent.name}.{node.name.value}", usual)
        else:
            size = min(size, self._estimates.max_page_size)
        return max(size, 0), sized_by_variables

    def _asked_size(self, node: FieldNode, definition: GraphQLField) -> tuple[int | None, bool]:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sized_by_variables = False
        for name in SIZE_ARGUMENTS & definition.args.keys():
            value = given.get(name)
            sized_by_variables |= isinstance(value, VariableNode)
            size = self._size(value) if value is not None else None
            if size is None and isinstance(definition.args[name].default_value, int):
                size = definition.args[name].default_value
            if size is not None:
                return size, sized_by_variables
        return None, sized_by_variables

    def _size(self, value: ValueNode | None) -> int | None:
        if isinstance(value, VariableNode):
            name = value.name.value
            if name in self._given:
                return _size_of(self._given[name])
            return self._size(self._defaults.get(name))
        if isinstance(value, ListValueNode):
            return len(value.values)
        if isinstance(value, IntValueNode):
            # Past nine digits the size is over every ceiling, and int() refuses thousands of them.
            return int(value.value) if len(value.value) < len(str(Measure.CEILING)) else Measure.CEILING
        return None


def _size_of(value: Any) -> int | None:
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None

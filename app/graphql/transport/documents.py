"""Documents made ready to run: parsed, held against the limits, validated, and remembered by their text."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    Source,
    Visitor,
    get_introspection_query,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.language import VariableNode
from graphql.language.parser import Parser
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from app.graphql.transport.limits import Limit, Limits, passed_cost, passed_limits, passed_operations, refusal
from app.graphql.transport.masking import ErrorMask
from app.graphql.transport.measuring import FragmentCycleError, Ruler

# A document's syntax tree and tokens take about this much for each token, measured with tracemalloc.
BYTES_PER_TOKEN = 400
INTROSPECTION_HEADROOM = 3


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that is not run, with the `errors` to answer."""

    errors: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedOperation:
    """One operation of a document that passed every check that does not need its variables."""

    text: str
    document: DocumentNode
    operation: OperationDefinitionNode
    name: str | None
    sized_by_variables: bool
    cursor_variables: frozenset[str]  # used as the subscription's `after` and nowhere else

    @property
    def kind(self) -> OperationType:
        return self.operation.operation

    @property
    def is_constant(self) -> bool:
        """Says whether every answer is the same: pure introspection without variables."""
        return not self.operation.variable_definitions and all(
            isinstance(selection, FieldNode) and selection.name.value in {"__schema", "__type", "__typename"}
            for selection in self.operation.selection_set.selections
        )


@dataclass(frozen=True, kw_only=True)
class _Entry:
    operations: tuple[PreparedOperation, ...] = ()
    refusal: Refusal | None = None
    weight_bytes: int


class DocumentCache:
    """Least recently used documents, bounded in entries and in estimated bytes."""

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def weight_bytes(self) -> int:
        return self._bytes

    def get(self, text: str) -> _Entry | None:
        entry = self._entries.get(text)
        if entry is not None:
            self._entries.move_to_end(text)
        return entry

    def put(self, text: str, entry: _Entry) -> None:
        if entry.weight_bytes > self._max_bytes // 8:
            return  # one giant must not push everybody else out
        self._entries[text] = entry
        self._bytes += entry.weight_bytes
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.weight_bytes


class DocumentDesk:
    """Prepares operations of one schema."""

    def __init__(self, *, schema: GraphQLSchema, limits: Limits, mask: ErrorMask, cache: DocumentCache) -> None:
        self._schema = schema
        self._limits = limits
        self._mask = mask
        self._cache = cache
        self._ruler = Ruler(schema=schema, estimates=limits)
        self._max_introspection_cost = self._usual_introspection_cost() * INTROSPECTION_HEADROOM

    def prepare(self, text: str, operation_name: str | None) -> PreparedOperation | Refusal:
        entry = self._cache.get(text)
        if entry is None:
            entry = self._read(text)
            self._cache.put(text, entry)
        return entry.refusal or self._choose(entry.operations, operation_name)

    def cost_refusal(self, prepared: PreparedOperation, variables: Mapping[str, Any]) -> Refusal | None:
        """Estimates the cost once more where variables say how long the lists are."""
        if not prepared.sized_by_variables:
            return None
        measure = self._ruler.measure_with(prepared.document, prepared.operation, variables)
        errors = list(passed_cost(measure, limits=self._limits))
        return Refusal(errors=self._mask.validation(errors)) if errors else None

    def _choose(self, operations: tuple[PreparedOperation, ...], name: str | None) -> PreparedOperation | Refusal:
        if not operations:
            return self._unchosen("The document has no operation: write a query, a mutation or a subscription.")
        if name:
            named = (prepared for prepared in operations if prepared.name == name)
            chosen = next(named, None)
            return chosen or self._unchosen(f"The document has no operation named '{name}'.")
        if len(operations) > 1:
            names = ", ".join(str(prepared.name) for prepared in operations[:5])
            return self._unchosen(f"The document has several operations: name one of {names} in operationName.")
        return operations[0]

    def _unchosen(self, message: str) -> Refusal:
        return Refusal(errors=self._mask.validation([GraphQLError(message)]))

    def _read(self, text: str) -> _Entry:
        text_bytes = len(text) * 4
        if len(text) > self._limits.max_characters:
            most = self._limits.max_characters
            message = f"The document is longer than {most:,} characters: pass long texts as variables."
            error = refusal(Limit.CHARACTERS, actual=len(text), maximum=most, message=message)
            return _Entry(refusal=Refusal(errors=self._mask.validation([error])), weight_bytes=text_bytes)
        parser = Parser(Source(text), max_tokens=self._limits.max_tokens)
        try:
            document = parser.parse_document()
        except GraphQLSyntaxError as error:
            return _Entry(refusal=self._unparsed(parser, error), weight_bytes=text_bytes)
        except RecursionError:
            most = self._limits.max_depth
            message = f"The document is nested too deeply to be read; at most {most} levels of fields are allowed."
            too_deep = refusal(Limit.DEPTH, actual=None, maximum=most, message=message)
            return _Entry(refusal=Refusal(errors=self._mask.validation([too_deep])), weight_bytes=text_bytes)
        weight = text_bytes + parser.token_count * BYTES_PER_TOKEN
        checked = self._check(text, document)
        if isinstance(checked, Refusal):
            return _Entry(refusal=checked, weight_bytes=text_bytes)
        return _Entry(operations=checked, weight_bytes=weight)

    def _unparsed(self, parser: Parser, error: GraphQLSyntaxError) -> Refusal:
        most = self._limits.max_tokens
        if parser.token_count <= most:
            return Refusal(errors=self._mask.syntax(error))
        message = f"The document has more than {most:,} tokens. Pass values as variables, or send several requests."
        return Refusal(
            errors=self._mask.validation([refusal(Limit.TOKENS, actual=None, maximum=most, message=message)])
        )

    def _check(self, text: str, document: DocumentNode) -> tuple[PreparedOperation, ...] | Refusal:
        try:
            measures = self._ruler.measure(document)
        except FragmentCycleError as cycle:
            around = " via ".join(f"'{name}'" for name in cycle.names[1:-1])
            message = f"Cannot spread fragment '{cycle.names[0]}' within itself{around and ' via ' + around}."
            return Refusal(errors=self._mask.validation([GraphQLError(message)]))
        errors = list(passed_operations(len(measures), limits=self._limits))
        for operation, measure in measures:
            is_mutation = operation.operation is OperationType.MUTATION
            errors += passed_limits(
                measure,
                limits=self._limits,
                mutation=is_mutation,
                max_introspection_cost=self._max_introspection_cost,
            )
            if not measure.sized_by_variables:
                errors += passed_cost(measure, limits=self._limits)
        # strawberry's own rules trust that the document is valid otherwise, and raise where it is not.
        errors = errors or validate(self._schema, document, specified_rules)
        errors = errors or validate(self._schema, document, (MaybeNullValidationRule,))
        if errors:
            return Refusal(errors=self._mask.validation(errors))
        return tuple(
            PreparedOperation(
                text=text,
                document=document,
                operation=operation,
                name=operation.name.value if operation.name else None,
                sized_by_variables=measure.sized_by_variables,
                cursor_variables=_cursor_variables(document, operation),
            )
            for operation, measure in measures
        )

    def _usual_introspection_cost(self) -> int:
        query = get_introspection_query(
            specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
        )
        return self._ruler.measure(parse(query))[0][1].introspection_cost


def _cursor_variables(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    """Finds the variables that say only where a subscription starts, and so change no event's payload."""
    if operation.operation is not OperationType.SUBSCRIPTION:
        return frozenset()
    cursors = list(_cursor_nodes(operation))
    elsewhere = _VariableUses(except_nodes={id(node) for node in cursors})
    # All fragments of the document, used by this operation or not: a use too many costs sharing, never truth.
    visit(document, elsewhere)
    return frozenset(node.name.value for node in cursors) - elsewhere.names


def _cursor_nodes(operation: OperationDefinitionNode) -> Iterator[VariableNode]:
    for selection in operation.selection_set.selections:
        for argument in (selection.arguments or ()) if isinstance(selection, FieldNode) else ():
            if argument.name.value == "after" and isinstance(argument.value, VariableNode):
                yield argument.value


class _VariableUses(Visitor):
    def __init__(self, *, except_nodes: set[int]) -> None:
        super().__init__()
        self._except_nodes = except_nodes
        self._defined: set[int] = set()
        self.names: set[str] = set()

    def enter_variable_definition(self, node: Any, *_args: Any) -> None:
        self._defined.add(id(node.variable))

    def enter_variable(self, node: VariableNode, *_args: Any) -> None:
        if id(node) not in self._except_nodes and id(node) not in self._defined:
            self.names.add(node.name.value)

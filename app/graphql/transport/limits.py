"""How much one operation may ask for, and the refusal that names the limit it passed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from graphql import GraphQLError

from app.graphql.transport.measuring import Measure


class Limit(StrEnum):
    """What is limited; `extensions.limit` of a refusal."""

    CHARACTERS = "CHARACTERS"
    TOKENS = "TOKENS"
    OPERATIONS = "OPERATIONS"
    FIELDS = "FIELDS"
    DEPTH = "DEPTH"
    ALIASES = "ALIASES"
    DIRECTIVES = "DIRECTIVES"
    ROOT_FIELDS = "ROOT_FIELDS"
    COST = "COST"
    INTROSPECTION = "INTROSPECTION"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The ceilings; fields, aliases and directives are counted with every fragment spread out."""

    max_characters: int = 262_144
    max_tokens: int = 2_000  # GraphiQL's introspection has about 300, a large dashboard query about 800
    max_operations: int = 50
    max_fields: int = 2_000
    max_depth: int = 15
    max_aliases: int = 100
    max_directives: int = 100
    max_root_fields: int = 30
    max_mutations: int = 10  # aliases must not make one request many guesses of a password
    max_cost: int = 25_000  # values in the answer, estimated: about half a second of resolving
    max_introspection_depth: int = 20  # GraphiQL's own query goes 15 deep
    max_introspection_lists: int = 2  # `fields` inside `fields`; three turn every type into every type
    page_size: int = 20
    max_page_size: int = 100
    list_size: int = 10
    list_sizes: Mapping[str, int] = field(default_factory=dict)  # "Playground.tasks": 50


TOO_COSTLY = "TOO_COSTLY"


def refusal(limit: Limit, *, actual: int | None, maximum: int, message: str) -> GraphQLError:
    """Gives the error for a passed limit, with its figures for programs."""
    figures = {"limit": limit.value, "maximum": maximum} | ({} if actual is None else {"actual": actual})
    return GraphQLError(message, extensions={"code": TOO_COSTLY} | figures)


def passed_operations(count: int, *, limits: Limits) -> Iterator[GraphQLError]:
    """Yields a refusal when the document has too many operations to check, all but one of them for nothing."""
    advice = "Send those that you call."
    return _passed((Limit.OPERATIONS, count, limits.max_operations, "operations", advice))


def passed_cost(measure: Measure, *, limits: Limits) -> Iterator[GraphQLError]:
    """Yields a refusal when the estimated answer is too large."""
    advice = "Ask for smaller pages or fewer fields."
    return _passed((Limit.COST, measure.cost, limits.max_cost, "values by estimate", advice))


def passed_limits(
    measure: Measure, *, limits: Limits, mutation: bool, max_introspection_cost: int
) -> Iterator[GraphQLError]:
    """Yields a refusal for every limit but the cost that the measured operation passes."""
    max_roots = limits.max_mutations if mutation else limits.max_root_fields
    return _passed(
        (Limit.ROOT_FIELDS, measure.root_fields, max_roots, "fields at the top", "Send several requests."),
        (Limit.FIELDS, measure.fields, limits.max_fields, "fields, fragments spread out", "Ask for fewer at once."),
        (Limit.DEPTH, measure.depth, limits.max_depth, "levels of fields", "Ask for the deeper part by its id."),
        (Limit.ALIASES, measure.aliases, limits.max_aliases, "aliases", "Send several requests."),
        (Limit.DIRECTIVES, measure.directives, limits.max_directives, "directives", "Leave some out."),
        (
            Limit.INTROSPECTION,
            measure.introspection_depth,
            limits.max_introspection_depth,
            "levels of introspection",
            "Ask for a type by `__type(name:)`.",
        ),
        (
            Limit.INTROSPECTION,
            measure.introspection_lists,
            limits.max_introspection_lists,
            "lists of fields or types inside each other",
            "Ask for a type by `__type(name:)`.",
        ),
        (
            Limit.INTROSPECTION,
            measure.introspection_cost,
            max_introspection_cost,
            "values of introspection by estimate",
            "One standard introspection query a request is allowed.",
        ),
    )


def _passed(*checks: tuple[Limit, int, int, str, str]) -> Iterator[GraphQLError]:
    for limit, actual, maximum, what, advice in checks:
        if actual > maximum:
            message = f"The document asks for {_figure(actual)} {what}; at most {maximum:,} are allowed. {advice}"
            yield refusal(limit, actual=actual, maximum=maximum, message=message)


def _figure(actual: int) -> str:
    return f"{actual:,}" if actual < Measure.CEILING else f"more than {Measure.CEILING:,}"

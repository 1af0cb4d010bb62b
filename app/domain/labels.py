"""The labels of a query's columns: as written, or as the dialect's own engine names what has no alias."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from app.domain.tasks import TaskType

_LABEL = "label"
_OPEN = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSE = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_QUANTIFIERS = frozenset({TokenType.DISTINCT, TokenType.ALL, TokenType.HINT})
_AFTER_PROJECTIONS = frozenset(
    {
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.QUALIFY,
        TokenType.WINDOW,
        TokenType.LATERAL,
        TokenType.ORDER_BY,
        TokenType.SORT_BY,
        TokenType.CLUSTER_BY,
        TokenType.DISTRIBUTE_BY,
        TokenType.LIMIT,
        TokenType.OFFSET,
        TokenType.FETCH,
        TokenType.INTO,
        TokenType.FOR,
        TokenType.UNION,
        TokenType.INTERSECT,
        TokenType.EXCEPT,
        TokenType.SEMICOLON,
    }
)


def label_projections(tree: exp.Expr, task_type: TaskType, text: str) -> None:
    """Give every projection an alias that remembers the label as it was written."""
    for select in tree.find_all(exp.Select):
        written = projections_as_written(select, text, "mysql") if task_type is TaskType.MYSQL else None
        for index, projection in enumerate(select.expressions):
            if isinstance(projection, exp.Alias):
                identifier = projection.args["alias"]
                if isinstance(identifier, exp.Identifier):
                    identifier.meta[_LABEL] = identifier.name
            elif isinstance(projection, exp.Column) and isinstance(projection.this, exp.Identifier):
                identifier = exp.to_identifier(projection.name, quoted=True)
                identifier.meta[_LABEL] = projection.name
                projection.replace(exp.Alias(this=projection.copy(), alias=identifier))
            elif not isinstance(projection, exp.Star | exp.Column | exp.Aliases):
                label = _unnamed(projection, index, task_type, written)
                identifier = exp.to_identifier(label, quoted=True)
                identifier.meta[_LABEL] = label
                projection.replace(exp.Alias(this=projection.copy(), alias=identifier))


def labels_of(tree: exp.Expr, spelling: dict[str, str]) -> list[str]:
    """The labels of a qualified query; a column that came by a star has its table's `spelling`."""
    if not isinstance(tree, exp.Query):
        return []
    labels = []
    for projection in tree.selects:
        identifier = projection.args.get("alias") if isinstance(projection, exp.Alias) else None
        remembered = identifier.meta.get(_LABEL) if isinstance(identifier, exp.Identifier) else None
        labels.append(remembered or spelling.get(projection.alias_or_name, projection.alias_or_name))
    return labels


def projections_as_written(select: exp.Select, text: str, dialect: str) -> Sequence[str] | None:
    """The values of the projections of a parsed query as the text has them, without aliases and comments around them.

    Only names and literals know their places, so the list is found around them: from the SELECT before, by its commas.
    None where it cannot be found.
    """
    try:
        tokens = _tokens(text, dialect)
    except TokenError:
        return None
    begin = _begin(select, tokens)
    stretches = [] if begin is None else list(_stretches(tokens, begin))
    if len(stretches) != len(select.expressions):
        return None
    values = []
    for projection, (first, last) in zip(select.expressions, stretches, strict=True):
        end = _before_alias(projection, tokens, first, last)
        values.append(text[tokens[first].start : tokens[end].end + 1])
    return values


def _unnamed(node: exp.Expr, index: int, task_type: TaskType, written: Sequence[str] | None) -> str:
    match task_type:
        case TaskType.HIVE:
            return f"_c{index}"
        case TaskType.PRESTO:
            return f"_col{index}"
        case TaskType.MYSQL:
            return node.sql(dialect="mysql") if written is None else written[index]
        case _:
            return node.sql(dialect="spark", normalize_functions="lower")


@lru_cache(maxsize=8)  # a text's queries are asked for one after the other
def _tokens(text: str, dialect: str) -> Sequence[Token]:
    return tuple(sqlglot.tokenize(text, read=dialect))


def _begin(select: exp.Select, tokens: Sequence[Token]) -> int | None:
    """The first token of the first projection."""
    marks = [
        int(part.meta["start"])
        for projection in select.expressions
        for part in projection.walk(prune=lambda node: isinstance(node, exp.Query))
        if "start" in part.meta and not isinstance(part, exp.Query)
    ]
    if not marks:
        return None
    index, depth = _at(tokens, min(marks)), 0
    while index >= 0:
        kind = tokens[index].token_type
        if kind is TokenType.SELECT and depth == 0:
            break
        if kind in _CLOSE:
            depth += 1
        elif kind in _OPEN and depth > 0:  # one that encloses the mark is of no interest
            depth -= 1
        index -= 1
    else:
        return None
    index += 1
    while index < len(tokens) and tokens[index].token_type in _QUANTIFIERS:
        index += 1
    return index


def _stretches(tokens: Sequence[Token], first: int) -> Iterator[tuple[int, int]]:
    """The first and the last token of each projection."""
    depth = 0
    for index in range(first, len(tokens) + 1):
        kind = tokens[index].token_type if index < len(tokens) else TokenType.SEMICOLON
        ends = depth == 0 and (kind in _CLOSE or kind in _AFTER_PROJECTIONS)
        if kind is TokenType.FROM and tokens[index - 1].token_type is TokenType.DISTINCT:
            ends = False  # IS DISTINCT FROM
        if (ends or (depth == 0 and kind is TokenType.COMMA)) and index > first:
            yield first, index - 1
            first = index + 1
        if ends:
            return
        depth += (kind in _OPEN) - (kind in _CLOSE)


def _before_alias(projection: exp.Expr, tokens: Sequence[Token], first: int, last: int) -> int:
    """The last token of the projection's value."""
    alias = projection.args.get("alias") if isinstance(projection, exp.Alias) else None
    if not isinstance(alias, exp.Expr) or "start" not in alias.meta:
        return last
    place = _at(tokens, int(alias.meta["start"])) - 1
    if place > first and tokens[place].token_type is TokenType.ALIAS:
        place -= 1
    return max(first, min(place, last))


def _at(tokens: Sequence[Token], start: int) -> int:
    return bisect_right(tokens, start, key=lambda token: int(token.start)) - 1

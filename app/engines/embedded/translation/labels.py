"""The labels of a query's columns: as written, or as the dialect's own engine names what has no alias."""

from sqlglot import exp

from app.domain.tasks import TaskType

_LABEL = "label"


def label_projections(tree: exp.Expr, task_type: TaskType, text: str) -> None:
    """Give every projection an alias that remembers the label as it was written."""
    for select in tree.find_all(exp.Select):
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
                label = _unnamed(projection, index, task_type, text)
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


def _unnamed(node: exp.Expr, index: int, task_type: TaskType, text: str) -> str:
    match task_type:
        case TaskType.HIVE:
            return f"_c{index}"
        case TaskType.PRESTO:
            return f"_col{index}"
        case TaskType.MYSQL:
            return _as_written(node, text) or node.sql(dialect="mysql")
        case _:
            return node.sql(dialect="spark", normalize_functions="lower")


def _as_written(node: exp.Expr, text: str) -> str | None:
    """The stretch of the text that the node was parsed from: places mark tokens, so brackets are balanced here."""
    marks = [part.meta for part in node.walk() if "start" in part.meta]
    if not marks:
        return None
    start, end = min(int(mark["start"]) for mark in marks), max(int(mark["end"]) for mark in marks) + 1
    if text[end:].lstrip().startswith("("):
        end = text.index("(", end) + 1
    while text[start:end].count("(") > text[start:end].count(")") and ")" in text[end:]:
        end = text.index(")", end) + 1
    while text[start:end].count(")") > text[start:end].count("(") and "(" in text[:start]:
        start = text.rindex("(", 0, start)
    return text[start:end]

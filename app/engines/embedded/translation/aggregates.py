"""Aggregates whose result type or method differs: sums of integers, averages, percentiles, concatenation."""

from sqlglot import exp

from app.domain.tasks import TaskType
from app.engines.embedded.translation import types
from app.engines.embedded.translation.places import place_of, unsupported
from app.engines.embedded.translation.types import call, cast


def total(node: exp.Sum, task_type: TaskType) -> exp.Expr:
    """A sum of integers stays in the dialect's type; DuckDB's own would be HUGEINT."""
    value = node.this.this if isinstance(node.this, exp.Distinct) else node.this
    value = value if isinstance(value, exp.Expr) else node.this
    if types.is_text(value) and task_type is not TaskType.PRESTO:
        return exp.Sum(this=cast(value, "DOUBLE", safe=True))
    if types.is_integer(value) or types.is_type_boolean(value):
        return _typed(node, "DECIMAL(38, 0)" if task_type is TaskType.MYSQL else "BIGINT")
    return node


def average(node: exp.Avg, task_type: TaskType) -> exp.Expr:
    if task_type is not TaskType.PRESTO and types.is_text(node.this):
        return exp.Avg(this=cast(node.this, "DOUBLE", safe=True))
    if task_type is TaskType.MYSQL and (types.is_integer(node.this) or types.is_decimal(node.this)):
        return _typed(node, f"DECIMAL(38, {types.scale_of(node.this) + 4})")
    return node


def percentile(node: exp.ApproxQuantile | exp.Quantile, task_type: TaskType) -> exp.Expr:
    """Percentiles are computed exactly; only Hive's, and PERCENTILE, lie between two values."""
    share = node.args["quantile"]
    if task_type is TaskType.PRESTO and node.args.get("weight") is not None:
        raise unsupported("APPROX_PERCENTILE with weights", place_of(node))
    between = not isinstance(node, exp.ApproxQuantile) or task_type is TaskType.HIVE
    return call("quantile_cont" if between else "quantile_disc", node.this, share)


def distinct_count(node: exp.ApproxDistinct) -> exp.Expr:
    """Exact: at this size that costs little, and a reconciliation wants the same number every time."""
    return exp.Count(this=exp.Distinct(expressions=[node.this.copy()]))


def collect(node: exp.ArrayUniqueAgg) -> exp.Expr:
    value = node.this.copy()
    distinct = exp.ArrayAgg(this=exp.Distinct(expressions=[value]))
    present = exp.not_(exp.Is(this=value.copy(), expression=exp.null()))
    return exp.Filter(this=distinct, expression=exp.Where(this=present))


def join_texts(node: exp.ConcatWs) -> exp.Expr:
    """CONCAT_WS takes arrays among its texts in Hive and Spark."""
    separator, *parts = node.expressions
    lists = [part for part in parts if part.is_type(exp.DType.ARRAY, exp.DType.LIST) or _makes_list(part)]
    if not lists:
        return node
    if len(parts) == 1:
        return call("array_to_string", parts[0], separator)
    return call(
        "concat_ws", separator, *(call("array_to_string", part, separator) if part in lists else part for part in parts)
    )


def group_concat(node: exp.GroupConcat) -> exp.Expr:
    """Any value is joined as its text."""
    made = node.copy()
    value = made.this
    while isinstance(value, exp.Order | exp.Distinct):
        value = value.expressions[0] if isinstance(value, exp.Distinct) else value.this
    if not types.is_text(value):
        value.replace(cast(value, "VARCHAR"))
    return made


def _makes_list(node: exp.Expr) -> bool:
    return isinstance(
        node,
        exp.ArrayAgg | exp.ArrayUniqueAgg | exp.Split | exp.RegexpSplit | exp.Array | exp.ArraySort | exp.Transform,
    ) or (isinstance(node, exp.Filter) and _makes_list(node.this))


def _typed(node: exp.Expr, kind: str) -> exp.Expr:
    """Cast around the whole of the aggregate: its window or filter belongs inside."""
    node.meta["result_type"] = kind
    return node


def apply_result_types(tree: exp.Expr) -> exp.Expr:
    """Put the casts that `_typed` asked for where they may stand."""
    for node in list(tree.find_all(exp.Sum, exp.Avg)):
        kind = node.meta.get("result_type")
        if kind is None:
            continue
        outer: exp.Expr = node
        while isinstance(outer.parent, exp.Filter | exp.Window | exp.IgnoreNulls) and outer.arg_key == "this":
            outer = outer.parent
        replacement = cast(outer, kind)
        if outer is tree:
            tree = replacement
        else:
            outer.replace(replacement)
        for copied in replacement.find_all(exp.Sum, exp.Avg):
            copied.meta.pop("result_type", None) if copied == node else None
    return tree

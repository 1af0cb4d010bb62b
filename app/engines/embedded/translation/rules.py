"""Which rule rewrites which node: one walk over a qualified, annotated tree, from the leaves to the root."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp

from app.domain.tasks import TaskType
from app.engines.embedded.translation import aggregates, moments, numbers, texts, types
from app.engines.embedded.translation.functions import rewrite_unknown
from app.engines.embedded.translation.places import place_of, unsupported

_Rule = Callable[[Any, TaskType], exp.Expr]  # each takes the node type that it stands at in the table


def apply_rules(tree: exp.Expr, task_type: TaskType) -> exp.Expr:
    """The tree in DuckDB's terms.

    Raises: TerminalEngineError with code UNSUPPORTED.
    """
    for node in reversed(list(tree.bfs())):
        rule = _RULES.get(type(node))
        if rule is None:
            continue
        made = rule(node, task_type)
        if made is node:
            continue
        if made.type is None:
            made.type = node.type
        if node is tree:
            tree = made
        else:
            node.replace(made)
    return aggregates.apply_result_types(tree)


def _forbidden(node: exp.Expr, _: TaskType) -> exp.Expr:
    """What reads files, runs code or tells about the host, in any dialect that sqlglot parses."""
    raise unsupported(_FORBIDDEN[type(node)], place_of(node))


def _unknown(node: exp.Anonymous, task_type: TaskType) -> exp.Expr:
    if task_type is TaskType.PRESTO and node.name.upper() == "FORMAT_DATETIME" and len(node.expressions) == 2:  # noqa: PLR2004 - value and pattern
        return moments.format_joda(node)
    if node.name.upper() == "JSON_TUPLE" and isinstance(node.parent, exp.Lateral):
        return node  # a table function of LATERAL VIEW
    return rewrite_unknown(node, task_type)


def _plus_or_minus(node: exp.Binary, task_type: TaskType) -> exp.Expr:
    if isinstance(node.this, exp.Interval) or isinstance(node.expression, exp.Interval):
        return moments.shift_by_interval(node, task_type)
    return numbers.combine(node, task_type)


def _branch(node: exp.If, task_type: TaskType) -> exp.Expr:
    return node if isinstance(node.parent, exp.Case) else numbers.unify(node, task_type)


def _now(node: exp.CurrentTimestamp, _: TaskType) -> exp.Expr:
    return node if isinstance(node.parent, exp.Cast) else types.cast(node, "TIMESTAMP")


def _text(node: exp.Func, _: TaskType) -> exp.Expr:
    return texts.text_of(node)


_FORBIDDEN: Mapping[type[exp.Expr], str] = {
    exp.ReadCSV: "READ_CSV",
    exp.ReadParquet: "READ_PARQUET",
    exp.QueryTransform: "TRANSFORM … USING a program",
    exp.Parameter: "A variable",
    exp.SessionParameter: "A system variable",
    exp.Placeholder: "A parameter",
    exp.Introducer: "A character set before a text",
    exp.CurrentUser: "CURRENT_USER",
    exp.CurrentSchema: "The name of the current database",
    exp.CurrentVersion: "VERSION",
    exp.Command: "This statement",
    exp.Variadic: "VARIADIC",
    exp.Columns: "COLUMNS",
}

_RULES: Mapping[type[exp.Expr], _Rule] = {
    **dict.fromkeys(_FORBIDDEN, _forbidden),
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ), numbers.compare),
    **dict.fromkeys((exp.Cast, exp.TryCast), numbers.convert),
    **dict.fromkeys((exp.Add, exp.Sub), _plus_or_minus),
    **dict.fromkeys((exp.Coalesce, exp.Case), numbers.unify),
    **dict.fromkeys((exp.ApproxQuantile, exp.Quantile), aggregates.percentile),
    **dict.fromkeys((exp.StrToTime, exp.StrToDate), moments.parse_time),
    **dict.fromkeys((exp.UnixToStr, exp.UnixToTime), moments.from_unix),
    **dict.fromkeys((exp.DateAdd, exp.DateSub, exp.TimestampAdd, exp.TimestampSub), moments.shift),
    **dict.fromkeys((exp.DateDiff, exp.TimestampDiff), moments.difference),
    **dict.fromkeys((exp.TimestampTrunc, exp.DateTrunc), moments.truncate),
    **dict.fromkeys((exp.Year, exp.Quarter, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second), moments.part),
    **dict.fromkeys((exp.DayOfMonth, exp.DayOfYear, exp.DayOfWeekIso, exp.WeekOfYear), moments.part),
    **dict.fromkeys((exp.LastDay, exp.Dayname), moments.part),
    **dict.fromkeys((exp.JSONExtract, exp.JSONExtractScalar), texts.json_value),
    **dict.fromkeys((exp.Upper, exp.Lower, exp.Trim, exp.Pad, exp.Left, exp.Right, exp.Reverse, exp.MD5), _text),
    exp.Anonymous: _unknown,
    exp.If: _branch,
    exp.CurrentTimestamp: _now,
    exp.Div: numbers.divide,
    exp.IntDiv: numbers.divide_whole,
    exp.Mod: numbers.remainder,
    exp.Mul: numbers.combine,
    exp.In: numbers.compare_many,
    exp.Sum: aggregates.total,
    exp.Avg: aggregates.average,
    exp.ApproxDistinct: lambda node, _: aggregates.distinct_count(node),
    exp.ArrayUniqueAgg: lambda node, _: aggregates.collect(node),
    exp.ConcatWs: lambda node, _: aggregates.join_texts(node),
    exp.GroupConcat: lambda node, _: aggregates.group_concat(node),
    exp.TimeToStr: moments.format_time,
    exp.StrToUnix: moments.to_unix,
    exp.TsOrDsToDate: moments.to_date,
    exp.TsOrDsAdd: lambda node, _: moments.add_days(node),
    exp.AddMonths: lambda node, _: moments.add_months(node),
    exp.DayOfWeek: lambda node, _: moments.day_of_week(node),
    exp.Week: lambda node, _: moments.week(node),
    exp.Extract: moments.extract,
    exp.RegexpExtract: texts.extract_by_pattern,
    exp.RegexpSubstr: lambda node, _: texts.find_by_pattern(node),
    exp.RegexpReplace: lambda node, _: texts.replace_by_pattern(node),
    exp.SubstringIndex: lambda node, _: texts.substring_index(node),
    exp.Elt: lambda node, _: texts.pick(node),
    exp.Substring: texts.substring,
    exp.ArraySize: texts.size_of,
    exp.Initcap: lambda node, _: texts.capitalise(node),
    exp.Length: texts.bytes_of,
    exp.Reduce: lambda node, _: texts.fold(node),
    exp.StrToMap: lambda node, _: texts.text_map(node),
    exp.WidthBucket: lambda node, _: texts.bucket(node),
    exp.ParseDatetime: lambda node, _: moments.parse_joda(node),
    exp.Between: numbers.compare_range,
    exp.Bracket: lambda node, _: texts.map_element(node),
}

"""Which rule rewrites which node: one walk over a qualified, annotated tree, from the leaves to the root."""

from sqlglot import exp

from app.domain.tasks import TaskType
from app.engines.embedded.translation import aggregates, moments, numbers, texts, types
from app.engines.embedded.translation.functions import rewrite_unknown
from app.engines.embedded.translation.places import place_of, unsupported

# What reads files, runs code or tells about the host, in any dialect that sqlglot parses.
_FORBIDDEN = (
    exp.ReadCSV,
    exp.ReadParquet,
    exp.QueryTransform,
    exp.Parameter,
    exp.SessionParameter,
    exp.Placeholder,
    exp.Introducer,
    exp.CurrentUser,
    exp.CurrentSchema,
    exp.CurrentVersion,
    exp.Command,
    exp.Dot,
)


def apply_rules(tree: exp.Expr, task_type: TaskType) -> exp.Expr:
    """The tree in DuckDB's terms.

    Raises: TerminalEngineError with code UNSUPPORTED.
    """
    for node in reversed(list(tree.bfs())):
        made = _rewrite(node, task_type)
        if made is node:
            continue
        if made.type is None:
            made.type = node.type
        made.comments = None
        if node is tree:
            tree = made
        else:
            node.replace(made)
    return aggregates.apply_result_types(tree)


def _rewrite(node: exp.Expr, task_type: TaskType) -> exp.Expr:  # noqa: C901, PLR0911, PLR0912 - a table of rules
    match node:
        case exp.Anonymous():
            return (
                node
                if node.name.upper() == "JSON_TUPLE" and isinstance(node.parent, exp.Lateral)
                else rewrite_unknown(node, task_type)
            )
        case exp.Div():
            return numbers.divide(node, task_type)
        case exp.IntDiv():
            return numbers.divide_whole(node, task_type)
        case exp.Mod():
            return numbers.remainder(node, task_type)
        case exp.Add() | exp.Sub() if isinstance(node.expression, exp.Interval) or isinstance(node.this, exp.Interval):
            return moments.shift_by_interval(node, task_type)
        case exp.Add() | exp.Sub() | exp.Mul():
            return numbers.combine(node, task_type)
        case exp.EQ() | exp.NEQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE() | exp.NullSafeEQ():
            return numbers.compare(node, task_type)
        case exp.In():
            return numbers.compare_many(node, task_type)
        case exp.Cast():
            return numbers.convert(node, task_type)
        case exp.Sum():
            return aggregates.total(node, task_type)
        case exp.Avg():
            return aggregates.average(node, task_type)
        case exp.ApproxQuantile() | exp.Quantile():
            return aggregates.percentile(node, task_type)
        case exp.ApproxDistinct():
            return aggregates.distinct_count(node)
        case exp.ArrayUniqueAgg():
            return aggregates.collect(node)
        case exp.ConcatWs():
            return aggregates.join_texts(node)
        case exp.GroupConcat():
            return aggregates.group_concat(node)
        case exp.TimeToStr():
            return moments.format_time(node, task_type)
        case exp.StrToTime() | exp.StrToDate():
            return moments.parse_time(node, task_type)
        case exp.StrToUnix():
            return moments.to_unix(node, task_type)
        case exp.UnixToStr() | exp.UnixToTime():
            return moments.from_unix(node, task_type)
        case exp.TsOrDsToDate():
            return moments.to_date(node, task_type)
        case exp.TsOrDsAdd():
            return moments.add_days(node)
        case exp.AddMonths():
            return moments.add_months(node)
        case exp.DateAdd() | exp.DateSub() | exp.TimestampAdd() | exp.TimestampSub():
            return moments.shift(node, task_type)
        case exp.DateDiff() | exp.TimestampDiff():
            return moments.difference(node, task_type)
        case exp.TimestampTrunc() | exp.DateTrunc():
            return moments.truncate(node, task_type)
        case exp.DayOfWeek():
            return moments.day_of_week(node)
        case exp.Week():
            return moments.week(node)
        case exp.Year() | exp.Month() | exp.Day() | exp.Hour() | exp.Minute() | exp.Second() | exp.Quarter():
            return moments.part(node, task_type)
        case exp.DayOfMonth() | exp.DayOfYear() | exp.WeekOfYear() | exp.LastDay() | exp.DayOfWeekIso() | exp.Dayname():
            return moments.part(node, task_type)
        case exp.CurrentTimestamp():
            return node if isinstance(node.parent, exp.Cast) else types.cast(node, "TIMESTAMP")
        case exp.RegexpExtract():
            return texts.extract_by_pattern(node, task_type)
        case exp.RegexpSubstr():
            return texts.find_by_pattern(node)
        case exp.SubstringIndex():
            return texts.substring_index(node)
        case exp.Elt():
            return texts.pick(node)
        case exp.Extract():
            return moments.extract(node, task_type)
        case exp.RegexpReplace():
            return texts.replace_by_pattern(node)
        case exp.JSONExtract() | exp.JSONExtractScalar():
            return texts.json_value(node, task_type)
        case exp.Substring():
            return texts.substring(node, task_type)
        case exp.ArraySize():
            return texts.size_of(node, task_type)
        case exp.Initcap():
            return texts.capitalise(node)
        case exp.Length():
            return texts.bytes_of(node, task_type)
        case exp.Upper() | exp.Lower() | exp.Trim() | exp.Pad() | exp.Left() | exp.Right() | exp.Reverse() | exp.MD5():
            return texts.text_of(node)
        case exp.Reduce():
            return texts.fold(node)
        case exp.StrToMap():
            return texts.text_map(node)
        case exp.Bracket():
            return texts.map_element(node)
        case _ if isinstance(node, _FORBIDDEN):
            raise unsupported(f"{type(node).__name__.upper()}", place_of(node))
    return node

"""Functions that sqlglot knows no meaning for: which of them each dialect has here, and what DuckDB calls them.

The list is the only way in: a name that is not on it is refused, so no function of DuckDB's own can be called by name.
"""

from collections.abc import Callable, Mapping

from sqlglot import exp

from app.domain.tasks import TaskType
from app.engines.embedded.translation.places import place_of, unsupported
from app.engines.embedded.translation.types import call, cast, is_own_call

# name in the dialect -> DuckDB's function or, with the prefix, a macro of macros.py
_SHARED: Mapping[str, str] = {
    "ANY_VALUE": "any_value",
    "BIT_COUNT": "bit_count",
    "CBRT": "cbrt",
    "COT": "cot",
    "DEGREES": "degrees",
    "RADIANS": "radians",
    "PI": "pi",
    "EXP": "exp",
    "LOG2": "log2",
    "LOG10": "log10",
    "SPACE": "phantom_space",
    "DAYNAME": "dayname",
    "DAY_NAME": "dayname",
    "MONTHNAME": "monthname",
    "SIN": "sin",
    "COS": "cos",
    "TAN": "tan",
    "ASIN": "asin",
    "ACOS": "acos",
    "ATAN": "atan",
    "ATAN2": "atan2",
    "GROUPING": "grouping",
}
_HIVE: Mapping[str, str] = {
    "PMOD": "phantom_pmod",
    "CARDINALITY": "cardinality",
    "MAP_ENTRIES": "map_entries",
    "EVERY": "bool_and",
    "SOME": "bool_or",
    "MAKE_DATE": "make_date",
    "SHIFTLEFT": "<<",
    "RINT": "round_even",
    "BROUND": "round_even",
    "FORMAT_NUMBER": "phantom_format_number",
    "PRINTF": "printf",
    "SUBSTRING_INDEX": "phantom_substring_index",
    "MONOTONICALLY_INCREASING_ID": "phantom_row_number",
    "REGR_COUNT": "regr_count",
}
_FUNCTIONS: Mapping[TaskType, Mapping[str, str]] = {
    TaskType.HIVE: _HIVE,
    TaskType.SPARK_SQL: _HIVE,
    TaskType.PRESTO: {
        "MAP_AGG": "phantom_map_agg",
        "MULTIMAP_AGG": "phantom_multimap_agg",
        "HISTOGRAM": "histogram",
        "MAP_ENTRIES": "map_entries",
        "GEOMETRIC_MEAN": "phantom_geometric_mean",
        "URL_EXTRACT_HOST": "phantom_url_host",
        "URL_EXTRACT_PATH": "phantom_url_path",
        "URL_EXTRACT_QUERY": "phantom_url_query",
        "URL_EXTRACT_PROTOCOL": "phantom_url_protocol",
        "REGR_SLOPE": "regr_slope",
        "REGR_INTERCEPT": "regr_intercept",
        "CODEPOINT": "unicode",
        "ENTROPY": "entropy",
        "ARRAY_SUM": "list_sum",
        "LAST_DAY_OF_MONTH": "last_day",
    },
    TaskType.MYSQL: {
        "SUBSTRING_INDEX": "phantom_substring_index",
        "REGEXP_SUBSTR": "phantom_regexp_substr",
        "REGEXP_INSTR": "phantom_regexp_instr",
        "JSON_UNQUOTE": "phantom_json_unquote",
        "JSON_LENGTH": "json_array_length",
        "JSON_VALID": "json_valid",
        "JSON_ARRAYAGG": "json_group_array",
        "JSON_OBJECTAGG": "json_group_object",
        "FIND_IN_SET": "phantom_find_in_set",
        "FORMAT": "phantom_format_number",
        "STRCMP": "phantom_strcmp",
        "SEC_TO_TIME": "phantom_seconds_to_time",
        "BIN": "bin",
        "OCT": "oct",
    },
}


def rewrite_unknown(node: exp.Anonymous, task_type: TaskType) -> exp.Expr:
    """The call in DuckDB's words.

    Raises: TerminalEngineError with code UNSUPPORTED for a function that is not on the list.
    """
    if is_own_call(node):
        return node
    name = node.name.upper()
    special = _SPECIAL.get((task_type, name)) or _SPECIAL.get((None, name))
    if special is not None:
        return special(node.expressions)
    target = _FUNCTIONS[task_type].get(name) or _SHARED.get(name)
    if target is None or not target.replace("_", "").isalnum():
        raise unsupported(f"The function {name}", place_of(node))
    return call(target, *node.expressions)


_Arguments = list[exp.Expr]


def _now(_: _Arguments) -> exp.Expr:
    return cast(exp.CurrentTimestamp(), "TIMESTAMP")


def _is_null(arguments: _Arguments) -> exp.Expr:
    return exp.paren(exp.Is(this=arguments[0].copy(), expression=exp.null()))


def _is_not_null(arguments: _Arguments) -> exp.Expr:
    return exp.paren(exp.not_(exp.Is(this=arguments[0].copy(), expression=exp.null())))


def _field(arguments: _Arguments) -> exp.Expr:
    return call("phantom_field", arguments[0], exp.Array(expressions=[item.copy() for item in arguments[1:]]))


def _elt(arguments: _Arguments) -> exp.Expr:
    items = exp.Array(expressions=[item.copy() for item in arguments[1:]])
    return call("list_extract", items, arguments[0])


def _weekday(arguments: _Arguments) -> exp.Expr:
    return exp.paren(exp.Sub(this=call("isodow", cast(arguments[0], "DATE")), expression=exp.Literal.number(1)))


def _yearweek(arguments: _Arguments) -> exp.Expr:
    mode = int(arguments[1].name) if len(arguments) > 1 and arguments[1].name.isdigit() else 0
    return call("phantom_yearweek_iso" if mode in {1, 3} else "phantom_yearweek_sunday", cast(arguments[0], "DATE"))


def _days_later(sign: int) -> Callable[[_Arguments], exp.Expr]:
    def rewrite(arguments: _Arguments) -> exp.Expr:
        start, step = arguments
        if isinstance(step, exp.Interval):
            made = (exp.Add if sign > 0 else exp.Sub)(this=cast(start, "TIMESTAMP"), expression=step.copy())
            return exp.paren(made)
        days = cast(step, "INT")
        return exp.paren((exp.Add if sign > 0 else exp.Sub)(this=cast(start, "DATE"), expression=days))

    return rewrite


def _unix_timestamp(arguments: _Arguments) -> exp.Expr:
    moment = cast(arguments[0], "TIMESTAMP", safe=True) if arguments else cast(exp.CurrentTimestamp(), "TIMESTAMP")
    return call("phantom_unix", moment)


def _row_number(_: _Arguments) -> exp.Expr:
    return exp.Sub(this=exp.Window(this=exp.RowNumber()), expression=exp.Literal.number(1))


def _iff(arguments: _Arguments) -> exp.Expr:
    condition, yes, *no = (argument.copy() for argument in arguments)
    return exp.Case(ifs=[exp.If(this=condition, true=yes)], default=no[0] if no else None)


def _not_a_number(_: _Arguments) -> exp.Expr:
    return cast(exp.Literal.string("nan"), "DOUBLE")


def _infinity(_: _Arguments) -> exp.Expr:
    return cast(exp.Literal.string("infinity"), "DOUBLE")


def _make_date(arguments: _Arguments) -> exp.Expr:
    first = call("make_date", arguments[0], exp.Literal.number(1), exp.Literal.number(1))
    return exp.paren(
        exp.Add(this=first, expression=exp.Sub(this=cast(arguments[1], "INT"), expression=exp.Literal.number(1)))
    )


def _map_values(arguments: _Arguments) -> exp.Expr:
    """transform_values(m, (k, v) -> f): the function over both lists at once."""
    entries, function = arguments
    if not isinstance(function, exp.Lambda) or len(function.expressions) != 2:  # noqa: PLR2004 - key and value
        raise unsupported("TRANSFORM_VALUES without a function of key and value", place_of(entries))
    return call("phantom_transform_values", entries, _over_entries("list_transform", entries, function))


def _map_filter(arguments: _Arguments) -> exp.Expr:
    entries, function = arguments
    if not isinstance(function, exp.Lambda) or len(function.expressions) != 2:  # noqa: PLR2004 - key and value
        raise unsupported("MAP_FILTER without a function of key and value", place_of(entries))
    return call("map_from_entries", _over_entries("list_filter", entries, function))


def _over_entries(name: str, entries: exp.Expr, function: exp.Lambda) -> exp.Expr:
    key, value = (parameter.name for parameter in function.expressions)
    body = function.this.copy()
    for node in list(body.find_all(exp.Identifier)):
        field = {key: "key", value: "value"}.get(node.name)
        if field and not isinstance(node.parent, exp.Dot):
            part = exp.Dot(this=exp.to_identifier("entry"), expression=exp.to_identifier(field, quoted=True))
            holder = node.parent if isinstance(node.parent, exp.Column) else node
            if holder is body:
                body = part
            else:
                holder.replace(part)
    return call(name, call("map_entries", entries), exp.Lambda(this=body, expressions=[exp.to_identifier("entry")]))


_SPECIAL: Mapping[tuple[TaskType | None, str], Callable[[_Arguments], exp.Expr]] = {
    (None, "NOW"): _now,
    (TaskType.MYSQL, "SYSDATE"): _now,
    (TaskType.MYSQL, "ISNULL"): _is_null,
    (TaskType.HIVE, "ISNULL"): _is_null,
    (TaskType.SPARK_SQL, "ISNULL"): _is_null,
    (TaskType.HIVE, "ISNOTNULL"): _is_not_null,
    (TaskType.SPARK_SQL, "ISNOTNULL"): _is_not_null,
    (TaskType.MYSQL, "FIELD"): _field,
    (TaskType.MYSQL, "ELT"): _elt,
    (TaskType.MYSQL, "WEEKDAY"): _weekday,
    (TaskType.SPARK_SQL, "WEEKDAY"): _weekday,
    (TaskType.MYSQL, "YEARWEEK"): _yearweek,
    (TaskType.MYSQL, "ADDDATE"): _days_later(1),
    (TaskType.MYSQL, "SUBDATE"): _days_later(-1),
    (TaskType.MYSQL, "UNIX_TIMESTAMP"): _unix_timestamp,
    (TaskType.MYSQL, "MAKEDATE"): _make_date,
    (TaskType.HIVE, "MONOTONICALLY_INCREASING_ID"): _row_number,
    (TaskType.SPARK_SQL, "MONOTONICALLY_INCREASING_ID"): _row_number,
    (TaskType.SPARK_SQL, "IFF"): _iff,
    (TaskType.PRESTO, "NAN"): _not_a_number,
    (TaskType.PRESTO, "INFINITY"): _infinity,
    (TaskType.PRESTO, "TRANSFORM_VALUES"): _map_values,
    (TaskType.SPARK_SQL, "TRANSFORM_VALUES"): _map_values,
    (TaskType.PRESTO, "MAP_FILTER"): _map_filter,
    (TaskType.SPARK_SQL, "MAP_FILTER"): _map_filter,
}

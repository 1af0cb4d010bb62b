"""Dates and times: patterns, units, texts in the place of dates, and which results are dates, which timestamps."""

import re

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from app.domain.tasks import TaskType
from app.engines.embedded.translation import types
from app.engines.embedded.translation.places import place_of, unsupported
from app.engines.embedded.translation.types import call, cast

_KNOWN_DIRECTIVES = frozenset("aAbBdHIjmMSfgGpuUVWwyYzZ%") | {f"-{letter}" for letter in "dHIjmMS"}
_DIRECTIVE = re.compile(r"%(-?.)")
_STRICT = re.compile(r"(%-?[a-zA-Z])strict")  # sqlglot's mark of a field that must have two digits
_DATE_UNITS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
_TRUNC_UNITS = {
    "MM": "MONTH",
    "MON": "MONTH",
    "YY": "YEAR",
    "YYYY": "YEAR",
    "Q": "QUARTER",
    "DD": "DAY",
    "D": "DAY",
    "WW": "WEEK",
}
_JAVA = frozenset({TaskType.HIVE, TaskType.SPARK_SQL})


def date_of(node: exp.Expr) -> exp.Expr:
    """The value as a date; a text that is none is NULL."""
    return node.copy() if types.is_date(node) else cast(node, "DATE", safe=not types.is_moment(node))


def moment_of(node: exp.Expr) -> exp.Expr:
    return node.copy() if types.is_moment(node) else cast(node, "TIMESTAMP", safe=True)


def format_time(node: exp.TimeToStr, task_type: TaskType) -> exp.Expr:
    return call("strftime", moment_of(_bare(node.this)), _pattern(node.args["format"], task_type, node))


def parse_time(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    """Presto refuses a text that does not fit the pattern; the others give NULL."""
    format_ = node.args["format"]
    pattern = _pattern(format_, task_type, node)
    parse = "strptime" if task_type is TaskType.PRESTO else "phantom_try_time"
    made: exp.Expr = call(parse, node.this, pattern)
    times = re.search(r"%-?[HIMSfp]", format_.name)
    if isinstance(node, exp.StrToDate) or (task_type is TaskType.MYSQL and not times):
        return made if times else cast(made, "DATE")
    return made


def format_joda(node: exp.Anonymous) -> exp.Expr:
    """Presto's format_datetime has the letters of Hive's date_format."""
    moment, pattern = node.expressions
    return call("strftime", moment_of(moment), _pattern(_joda(pattern), TaskType.HIVE, node))


def parse_joda(node: exp.ParseDatetime) -> exp.Expr:
    return call("strptime", node.this, _pattern(_joda(node.args["format"]), TaskType.HIVE, node))


def to_unix(node: exp.StrToUnix, task_type: TaskType) -> exp.Expr:
    if node.this is None or isinstance(node.this, exp.CurrentTimestamp):
        return call("phantom_unix", cast(exp.CurrentTimestamp(), "TIMESTAMP"))
    format_ = node.args.get("format")
    if types.is_moment(node.this) or format_ is None:
        return call("phantom_unix", moment_of(node.this))
    return call("phantom_unix", call("phantom_try_time", node.this, _pattern(format_, task_type, node)))


def from_unix(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    moment = call("phantom_from_unix", node.this)
    format_ = node.args.get("format")
    if format_ is None:
        return moment
    return call("strftime", moment, _pattern(format_, task_type, node))


def to_date(node: exp.TsOrDsToDate, task_type: TaskType) -> exp.Expr:
    format_ = node.args.get("format")
    if format_ is None or types.is_moment(node.this):
        return date_of(node.this)
    return cast(call("phantom_try_time", node.this, _pattern(format_, task_type, node)), "DATE")


def add_days(node: exp.TsOrDsAdd) -> exp.Expr:
    """Hive's and Spark's date_add and date_sub count days and give a date."""
    step = node.expression
    unit = node.text("unit").upper() or "DAY"
    if unit != "DAY":
        return cast(exp.Add(this=date_of(node.this), expression=_interval(step, unit)), "DATE")
    return exp.paren(exp.Add(this=date_of(node.this), expression=cast(step, "INT")))


def add_months(node: exp.AddMonths) -> exp.Expr:
    return cast(exp.Add(this=date_of(node.this), expression=_interval(node.expression, "MONTH")), "DATE")


def shift(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    """DATE_ADD and DATE_SUB with a unit: a date stays one where the unit is a day or longer."""
    unit = node.text("unit").upper() or "DAY"
    step = node.expression
    if isinstance(step, exp.Interval):
        unit, step = step.text("unit").upper() or unit, step.this
    backwards = isinstance(node, exp.DateSub | exp.TimestampSub)
    base = _base(node.this, unit, task_type)
    operation = exp.Sub if backwards else exp.Add
    made = operation(this=base, expression=_interval(step, unit))
    return cast(made, "DATE") if types.is_date(base) and unit in _DATE_UNITS else exp.paren(made)


def shift_by_interval(node: exp.Binary, task_type: TaskType) -> exp.Expr:
    """Date + INTERVAL, where the value is a date, a timestamp or a text."""
    interval, base = (node.expression, node.this)
    if isinstance(base, exp.Interval):
        interval, base = base, interval
    if not isinstance(interval, exp.Interval):
        return node
    unit = interval.text("unit").upper()
    base = _base(base, unit, task_type)
    made = type(node)(this=base, expression=interval.copy())
    return cast(made, "DATE") if types.is_date(base) and unit in _DATE_UNITS else made


def difference(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    """Whole units between two moments; DATEDIFF of days looks at the dates alone."""
    later, earlier, unit = node.this, node.expression, node.text("unit").upper() or "DAY"
    if isinstance(node, exp.DateDiff) and task_type is not TaskType.PRESTO and unit == "DAY":
        return exp.paren(exp.Sub(this=date_of(_bare(later)), expression=date_of(_bare(earlier))))
    name = exp.Literal.string(unit.lower())
    return call("datesub", name, moment_of(_bare(earlier)), moment_of(_bare(later)))


def truncate(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    """TRUNC gives a date (a text in Hive), DATE_TRUNC keeps the kind of its value."""
    unit_text = node.text("unit").upper()
    unit = exp.Literal.string(_TRUNC_UNITS.get(unit_text, unit_text).lower())
    value = moment_of(node.this)
    made: exp.Expr = call("date_trunc", unit, value)
    if types.is_date(node.this) and task_type is TaskType.PRESTO:
        return cast(made, "DATE")
    if task_type is TaskType.HIVE:
        return cast(cast(made, "DATE"), "VARCHAR")
    return cast(made, "DATE") if isinstance(node, exp.DateTrunc) else made


def part(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    """year(x), hour(x) and kin of a text read it as a timestamp."""
    if task_type is TaskType.PRESTO or types.is_moment(node.this):
        return node
    made = node.copy()
    made.set("this", moment_of(_bare(node.this)))
    return made


def extract(node: exp.Extract, task_type: TaskType) -> exp.Expr:
    if task_type is TaskType.PRESTO or types.is_moment(node.expression):
        return node
    made = node.copy()
    made.set("expression", moment_of(_bare(node.expression)))
    return made


def day_of_week(node: exp.DayOfWeek) -> exp.Expr:
    """Sunday is 1; in DuckDB it is 0."""
    return exp.paren(exp.Add(this=call("dayofweek", date_of(_bare(node.this))), expression=exp.Literal.number(1)))


def week(node: exp.Week) -> exp.Expr:
    """MySQL's WEEK by its mode."""
    mode = node.args.get("mode")
    number = int(mode.name) if mode is not None and mode.name.isdigit() else 0
    names = {0: "phantom_week_sunday", 1: "phantom_week_iso_short", 3: "week", 5: "phantom_week_monday"}
    if number not in names:
        raise unsupported(f"WEEK with mode {number}", place_of(node), advice="use mode 0, 1, 3 or 5")
    return call(names[number], date_of(_bare(node.this)))


def _base(node: exp.Expr, unit: str, task_type: TaskType) -> exp.Expr:
    if types.is_moment(node) or task_type is TaskType.PRESTO:
        return node.copy()
    if isinstance(node, exp.Literal) and ":" not in node.name and unit in _DATE_UNITS:
        return cast(node, "DATE", safe=True)
    return cast(node, "TIMESTAMP", safe=True)


def _interval(step: exp.Expr, unit: str) -> exp.Expr:
    return call(f"to_{unit.lower()}s" if unit != "QUARTER" else "to_quarters", cast(step, "INT"))


def _bare(node: exp.Expr) -> exp.Expr:
    """Without the cast that sqlglot's parser puts around a date function's argument."""
    if isinstance(node, exp.TsOrDsToDate | exp.TsOrDsToTimestamp) and node.args.get("format") is None:
        bare: exp.Expr = node.this
        return bare
    if (
        isinstance(node, exp.Cast)
        and "line" not in node.meta
        and types.is_moment(node)
        and not types.is_text(node.this)
    ):
        return node.this if types.is_moment(node.this) else node
    return node


def _joda(pattern: exp.Expr) -> exp.Expr:
    mapped = Dialect.get_or_raise("hive").format_time(pattern)
    return mapped if mapped is not None else pattern


def _pattern(format_: exp.Expr, task_type: TaskType, node: exp.Expr) -> exp.Expr:
    """The strftime pattern; letters that have no counterpart are refused rather than printed.

    Raises: TerminalEngineError with code UNSUPPORTED.
    """
    if not isinstance(format_, exp.Literal):
        raise unsupported("A date pattern that is computed", place_of(node), advice="write it as a literal")
    pattern = _STRICT.sub(r"\1", format_.name)
    if task_type in _JAVA:
        pattern = re.sub(r"(?<!%)SSS", "%g", pattern)
    for directive in _DIRECTIVE.findall(pattern):
        if directive not in _KNOWN_DIRECTIVES:
            raise unsupported(f"The date pattern %{directive}", place_of(format_) or place_of(node))
    if task_type in _JAVA:
        literal = re.sub(r"'([^']*)'", "", _DIRECTIVE.sub("", pattern))
        letters = re.findall(r"[A-Za-z]+", literal)
        if letters:
            raise unsupported(f"The date pattern letter {letters[0]}", place_of(format_) or place_of(node))
        pattern = re.sub(r"'([^']*)'", lambda match: match[1] or "'", pattern)
    return exp.Literal.string(pattern)

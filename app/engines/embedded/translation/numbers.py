"""Arithmetic, comparison and casts by each dialect's rules: division, rounding, texts in the place of numbers."""

from sqlglot import exp

from app.domain.tasks import TaskType
from app.engines.embedded.translation import types
from app.engines.embedded.translation.types import call, cast

_MYSQL_EXTRA_DIGITS = 4  # div_precision_increment's default
_WIDEST = 38
_UNTYPED = (exp.DType.UNKNOWN, exp.DType.NULL)


def divide(node: exp.Div, task_type: TaskType) -> exp.Expr:
    """Presto divides integers to an integer; the others divide truly, and by zero gives NULL."""
    left, right = (_as_number(side, task_type) for side in (node.this, node.expression))
    if task_type is TaskType.PRESTO:
        if types.is_integer(node.this) and types.is_integer(node.expression):
            return _own_div(left, right)
        return exp.Div(this=left, expression=right, typed=False, safe=True)
    truly = exp.Div(this=cast(left, "DOUBLE"), expression=_no_zero(right), typed=False, safe=True)
    exact = all(types.is_integer(side) or types.is_decimal(side) for side in (node.this, node.expression))
    if task_type is TaskType.MYSQL and exact:
        scale = min(types.scale_of(node.this) + _MYSQL_EXTRA_DIGITS, 30)
        return cast(exp.paren(truly), f"DECIMAL({_WIDEST}, {scale})")
    return exp.paren(truly)


def divide_whole(node: exp.IntDiv, task_type: TaskType) -> exp.Expr:
    return _own_div(_as_number(node.this, task_type), _no_zero(_as_number(node.expression, task_type)))


def remainder(node: exp.Mod, task_type: TaskType) -> exp.Expr:
    right = node.expression if task_type is TaskType.PRESTO else _no_zero(_as_number(node.expression, task_type))
    return exp.Mod(this=_as_number(node.this, task_type), expression=right)


def combine(node: exp.Binary, task_type: TaskType) -> exp.Expr:
    """+, - and * of texts count as numbers everywhere but in Presto."""
    if task_type is TaskType.PRESTO or not (types.is_text(node.this) or types.is_text(node.expression)):
        return node
    if isinstance(node.this, exp.Interval) or isinstance(node.expression, exp.Interval):
        return node
    left, right = (_as_number(side, task_type) for side in (node.this, node.expression))
    return type(node)(this=left, expression=right)


def compare(node: exp.Binary, task_type: TaskType) -> exp.Expr:
    """A text beside a number or a date is read as one, and is NULL where it cannot be."""
    if task_type is TaskType.PRESTO:
        return node
    left, right = node.this, node.expression
    for text, other, key in ((left, right, "this"), (right, left, "expression")):
        if not types.is_text(text):
            continue
        kind = _counterpart(other)
        if kind is not None:
            made = node.copy()
            made.set(key, cast(text, kind, safe=True))
            return made
    return node


def compare_many(node: exp.In, task_type: TaskType) -> exp.Expr:
    """Tell x IN (1, 2) for a text x, and x IN ('1', '2') for a number."""
    options = node.expressions
    if task_type is TaskType.PRESTO or not options:
        return node
    made = node.copy()
    if types.is_text(node.this) and all(types.is_number(option) for option in options):
        made.set("this", cast(node.this, "DOUBLE", safe=True))
    elif not types.is_text(node.this) and all(types.is_text(option) for option in options):
        kind = _counterpart(node.this)
        if kind is not None:
            made.set("expressions", [cast(option, kind, safe=True) for option in options])
    return made


def compare_range(node: exp.Between, task_type: TaskType) -> exp.Expr:
    """A text BETWEEN numbers or dates is read as one."""
    low, high = node.args["low"], node.args["high"]
    kind = _counterpart(low) or _counterpart(high)
    if task_type is TaskType.PRESTO or not types.is_text(node.this) or kind is None:
        return node
    made = node.copy()
    made.set("this", cast(node.this, kind, safe=True))
    return made


def convert(node: exp.Cast, task_type: TaskType) -> exp.Expr:
    """Casts to integers cut (Hive, Spark) or round half up (Presto, MySQL); a failed one is NULL outside Presto."""
    value, target = node.this, node.to
    lenient = task_type is not TaskType.PRESTO or isinstance(node, exp.TryCast)
    if target.is_type(*types.INTEGERS):
        cuts = task_type in {TaskType.HIVE, TaskType.SPARK_SQL}
        if cuts and types.is_moment(value):
            value = call("phantom_unix", value)
        elif cuts and types.is_text(value):
            value = call("phantom_integer", value)
        elif types.is_floating(value) or types.is_decimal(value):
            value = call("trunc" if cuts else "round", value)
    elif task_type is not TaskType.PRESTO and target.is_type(exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPLTZ):
        target = exp.DataType.build("TIMESTAMP")
    elif task_type is TaskType.PRESTO and target.is_type(*types.TEXT) and target.expressions and not lenient:
        width = target.expressions[0].copy()
        return exp.Left(this=cast(value, "VARCHAR"), expression=width.this if hasattr(width, "this") else width)
    elif task_type is not TaskType.PRESTO and target.is_type(*types.TEXT) and target.expressions:
        return call("left", cast(value, "VARCHAR"), exp.Literal.number(target.expressions[0].name))
    make = exp.TryCast if lenient else exp.Cast
    return make(this=value.copy(), to=target.copy())


def unify(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    """Branches of COALESCE, IF and CASE that mix texts with other types become texts, but not in Presto."""
    if task_type is TaskType.PRESTO:
        return node
    made = node.copy()
    values = _branches(made)
    texts = [value for value in values if types.is_text(value)]
    others = [value for value in values if not types.is_text(value) and not value.is_type(*_UNTYPED)]
    if not texts or not others:
        return node
    for value in others:
        value.replace(cast(value, "VARCHAR"))
    made.type = exp.DataType.build("VARCHAR")
    return made


def truth(node: exp.Expr) -> exp.Expr:
    """MySQL's booleans are the numbers 1 and 0."""
    return cast(node, "BIGINT")


def _branches(node: exp.Expr) -> list[exp.Expr]:
    match node:
        case exp.Coalesce():
            return [node.this, *node.expressions]
        case exp.Case():
            default = node.args.get("default")
            return [branch.args["true"] for branch in node.args["ifs"]] + ([default] if default is not None else [])
        case _:
            return [value for value in (node.args.get("true"), node.args.get("false")) if value is not None]


def _own_div(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.paren(exp.IntDiv(this=exp.paren(left.copy()), expression=exp.paren(right.copy())))


def _no_zero(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Literal) and node.name.strip("0."):
        return node.copy()
    return exp.Nullif(this=node.copy(), expression=exp.Literal.number(0))


def _as_number(node: exp.Expr, task_type: TaskType) -> exp.Expr:
    if task_type is not TaskType.PRESTO and types.is_text(node):
        return cast(node, "DOUBLE", safe=True)
    return exp.paren(node.copy()) if isinstance(node, exp.Binary) else node.copy()


def _counterpart(node: exp.Expr) -> str | None:
    if types.is_number(node):
        return "DOUBLE"
    if types.is_date(node):
        return "DATE"
    return "TIMESTAMP" if types.is_moment(node) else None

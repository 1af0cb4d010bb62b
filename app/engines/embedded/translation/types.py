"""What the type annotations of a tree say, in the few words that the rules need."""

from sqlglot import exp

_OWN = "own_call"

TEXT = exp.DataType.TEXT_TYPES
INTEGERS = exp.DataType.INTEGER_TYPES
REALS = exp.DataType.REAL_TYPES
MOMENTS = exp.DataType.TEMPORAL_TYPES


def is_text(node: exp.Expr) -> bool:
    return node.is_type(*TEXT)


def is_integer(node: exp.Expr) -> bool:
    return node.is_type(*INTEGERS)


def is_decimal(node: exp.Expr) -> bool:
    return node.is_type(exp.DType.DECIMAL)


def is_floating(node: exp.Expr) -> bool:
    return node.is_type(exp.DType.FLOAT, exp.DType.DOUBLE)


def is_number(node: exp.Expr) -> bool:
    return is_integer(node) or is_decimal(node) or is_floating(node)


def is_type_boolean(node: exp.Expr) -> bool:
    return node.is_type(exp.DType.BOOLEAN)


def is_date(node: exp.Expr) -> bool:
    return node.is_type(exp.DType.DATE, exp.DType.DATE32)


def is_moment(node: exp.Expr) -> bool:
    """A date or a timestamp."""
    return node.is_type(*MOMENTS) and not node.is_type(exp.DType.TIME)


def is_map(node: exp.Expr) -> bool:
    return node.is_type(exp.DType.MAP)


def scale_of(node: exp.Expr) -> int:
    """Digits after the point of an exact number."""
    parameters = node.type.expressions if isinstance(node.type, exp.DataType) and is_decimal(node) else []
    return int(parameters[1].name) if len(parameters) > 1 else 0


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of a DuckDB function or macro; the mark tells it from a function that the user's text names."""
    made = exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])
    made.meta[_OWN] = True
    return made


def is_own_call(node: exp.Anonymous) -> bool:
    return bool(node.meta.get(_OWN))


def cast(node: exp.Expr, kind: str, *, safe: bool = False) -> exp.Expr:
    make = exp.TryCast if safe else exp.Cast
    target = exp.DataType.build(kind, dialect="duckdb")
    made = make(this=node.copy(), to=target)
    made.type = target
    return made

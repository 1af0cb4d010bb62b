"""Texts, patterns, JSON, arrays and maps where DuckDB's function of the same name behaves otherwise."""

import re

from sqlglot import exp

from app.domain.tasks import TaskType
from app.engines.embedded.translation import types
from app.engines.embedded.translation.places import place_of, unsupported
from app.engines.embedded.translation.types import call, cast


def extract_by_pattern(node: exp.RegexpExtract, task_type: TaskType) -> exp.Expr:
    """No match is NULL in Presto and the empty text in Hive and Spark."""
    group = node.args.get("group")
    found = call("regexp_extract", node.this, node.expression, *([group] if group is not None else []))
    if task_type in {TaskType.HIVE, TaskType.SPARK_SQL}:
        return found if group is not None else call("regexp_extract", node.this, node.expression, exp.Literal.number(1))
    if task_type is TaskType.MYSQL:
        return call("phantom_regexp_substr", node.this, node.expression)
    return exp.Case(ifs=[exp.If(this=call("regexp_matches", node.this, node.expression), true=found)])


def find_by_pattern(node: exp.RegexpSubstr) -> exp.Expr:
    if node.args.get("position") is not None or node.args.get("occurrence") is not None:
        raise unsupported("REGEXP_SUBSTR with a position", place_of(node), advice="cut the text with SUBSTRING first")
    return call("phantom_regexp_substr", node.this, node.expression)


def replace_by_pattern(node: exp.RegexpReplace) -> exp.Expr:
    """A group is $1 in the dialects and a backslash with 1 here; every match is replaced."""
    replacement = node.args.get("replacement") or exp.Literal.string("")
    if isinstance(replacement, exp.Literal):
        replacement = exp.Literal.string(re.sub(r"\$(\d)", r"\\\1", replacement.name))
    return call("regexp_replace", node.this, node.expression, replacement, exp.Literal.string("g"))


def json_value(node: exp.JSONExtract | exp.JSONExtractScalar, task_type: TaskType) -> exp.Expr:
    """A text that is no JSON gives NULL."""
    if isinstance(node, exp.JSONExtract) and not isinstance(node, exp.JSONExtractScalar):
        name = "phantom_json_part"
    else:
        name = "phantom_json_scalar" if task_type is TaskType.PRESTO else "phantom_json_text"
    path = node.expression
    if isinstance(path, exp.JSONPath):
        path = exp.Literal.string(path.sql(dialect="duckdb").strip("'"))
    return call(name, node.this, path)


def substring(node: exp.Substring, task_type: TaskType) -> exp.Expr:
    """Position 0 is the start in Hive and Spark, and gives nothing in MySQL and Presto."""
    start, length = node.args.get("start"), node.args.get("length")
    if start is None or (isinstance(start, exp.Literal) and start.name.isdigit() and int(start.name) > 0):
        return node
    prefix = "phantom_" if task_type in {TaskType.HIVE, TaskType.SPARK_SQL} else "phantom_mysql_"
    text = node.this if types.is_text(node.this) else cast(node.this, "VARCHAR")
    if length is None:
        return call(f"{prefix}substring_from", text, start)
    return call(f"{prefix}substring", text, start, length)


def substring_index(node: exp.SubstringIndex) -> exp.Expr:
    return call("phantom_substring_index", node.this, node.args["delimiter"], node.args["count"])


def pick(node: exp.Elt) -> exp.Expr:
    return call("list_extract", exp.Array(expressions=[item.copy() for item in node.expressions]), node.this)


def text_of(node: exp.Func) -> exp.Expr:
    """Text functions take numbers and dates as their text."""
    value = node.this
    if not isinstance(value, exp.Expr) or types.is_text(value) or value.is_type(exp.DType.UNKNOWN, exp.DType.NULL):
        return node
    made = node.copy()
    made.set("this", cast(value, "VARCHAR"))
    return made


def size_of(node: exp.ArraySize, task_type: TaskType) -> exp.Expr:
    counted = call("cardinality" if types.is_map(node.this) else "len", node.this)
    if task_type is TaskType.HIVE:
        return exp.Coalesce(this=counted, expressions=[exp.Literal.number(-1)])
    return counted


def capitalise(node: exp.Initcap) -> exp.Expr:
    return call("phantom_initcap", node.this)


def bytes_of(node: exp.Length, task_type: TaskType) -> exp.Expr:
    """MySQL's LENGTH counts bytes."""
    if task_type is TaskType.MYSQL and node.args.get("binary"):
        return call("octet_length", call("encode", cast(node.this, "VARCHAR")))
    return text_of(node)


def bucket(node: exp.WidthBucket) -> exp.Expr:
    parts = [node.args.get(key) for key in ("this", "min_value", "max_value", "num_buckets")]
    if any(part is None for part in parts):
        raise unsupported("WIDTH_BUCKET over an array of bounds", place_of(node))
    return call("phantom_width_bucket", *(part for part in parts if part is not None))


def fold(node: exp.Reduce) -> exp.Expr:
    """reduce(list, start, step, finish): the finish is a function of the result."""
    finish = node.args.get("finish")
    folded = call("list_reduce", node.this, node.args["merge"], node.args["initial"])
    if isinstance(finish, exp.Lambda) and finish.this != finish.expressions[0]:
        name = finish.expressions[0].name
        body = finish.this.copy()
        for node_ in list(body.find_all(exp.Identifier)):
            if node_.name == name:
                holder = node_.parent if isinstance(node_.parent, exp.Column) else node_
                holder.replace(exp.paren(folded.copy()))
        return exp.paren(body)
    return folded


def text_map(node: exp.StrToMap) -> exp.Expr:
    pairs = node.args.get("pair_delim") or exp.Literal.string(",")
    values = node.args.get("key_value_delim") or exp.Literal.string(":" if node.args.get("pair_delim") is None else "=")
    return call("phantom_str_to_map", node.this, pairs, values)


def map_element(node: exp.Bracket) -> exp.Expr:
    """A map's integer key is a key; only a list's index is counted from one."""
    if not types.is_map(node.this):
        return node
    (key,) = node.expressions
    return call("map_extract_value", node.this, key)

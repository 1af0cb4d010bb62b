"""Rows out of arrays and maps: LATERAL VIEW and UNNEST as DuckDB's lateral joins, with OUTER keeping what is empty."""

from sqlglot import exp

from app.engines.embedded.translation.places import place_of, unsupported
from app.engines.embedded.translation.structure import stack_width
from app.engines.embedded.translation.types import call, is_map


def rewrite_laterals(tree: exp.Expr) -> None:
    """Replace every lateral view and unnest of a qualified, annotated tree in place."""
    for select in list(tree.find_all(exp.Select)):
        laterals = select.args.get("laterals") or []
        if laterals:
            joins = [
                _join(_rows_of_view(lateral), lateral, outer=bool(lateral.args.get("outer"))) for lateral in laterals
            ]
            select.set("laterals", None)
            # Hive applies views after all joins of the FROM clause
            select.set("joins", [*(select.args.get("joins") or []), *joins])
    for unnest in list(tree.find_all(exp.Unnest)):
        _rewrite_unnest(unnest)


def _rewrite_unnest(unnest: exp.Unnest) -> None:
    holder = unnest.parent
    if not isinstance(holder, exp.From | exp.Join):
        return
    rows = _rows_of_unnest(unnest)
    columns = (
        [column.copy() for column in unnest.args["alias"].args.get("columns") or []] if unnest.args.get("alias") else []
    )
    offset = unnest.args.get("offset")
    if isinstance(offset, exp.Identifier) and len(columns) < len(rows.expressions):
        columns.append(offset.copy())
    alias = exp.TableAlias(this=exp.to_identifier(unnest.alias or "unnested", quoted=True), columns=columns)
    subquery = exp.Subquery(this=rows)
    if isinstance(holder, exp.Join):
        outer = str(holder.args.get("side") or "").upper() == "LEFT"
        holder.set("this", exp.Lateral(this=subquery, alias=alias))
        if outer and holder.args.get("on") is None:
            holder.set("on", exp.true())
        if not outer and holder.args.get("on") is None:
            holder.set("kind", "CROSS")
    else:
        subquery.set("alias", alias)
        holder.set("this", subquery)


def _rows_of_unnest(unnest: exp.Unnest) -> exp.Select:
    lists: list[exp.Expr] = []
    columns = unnest.args["alias"].args.get("columns") or [] if unnest.args.get("alias") else []
    ordinality = bool(unnest.args.get("offset"))
    width = len(columns) - (1 if ordinality and not isinstance(unnest.args["offset"], exp.Identifier) else 0)
    guess_map = len(unnest.expressions) == 1 and width == 2  # noqa: PLR2004 - a key and a value
    for value in unnest.expressions:
        lists += _columns_of(value, of_map=is_map(value) or guess_map)
    rows = [call("unnest", one) for one in lists]
    if ordinality:
        rows.append(call("unnest", _positions(lists, start=1)))
    return exp.Select(expressions=[exp.alias_(row, f"c{index}") for index, row in enumerate(rows)])


def _rows_of_view(lateral: exp.Lateral) -> exp.Select:
    generator = lateral.this
    columns = len(lateral.args["alias"].args.get("columns") or [])
    if isinstance(generator, exp.Anonymous) and generator.name.upper() == "JSON_TUPLE":
        text, *fields = generator.expressions
        cells = [call("phantom_json_text", text, exp.Literal.string(f'$."{field.name}"')) for field in fields]
        return exp.Select(expressions=[exp.alias_(cell, f"c{index}") for index, cell in enumerate(cells)])
    if isinstance(generator, exp.Stack):
        return _stack(generator)
    if isinstance(generator, exp.Inline):
        return exp.Select(expressions=[_recursive_unnest(generator.this)])
    if not isinstance(generator, exp.Explode | exp.Posexplode | exp.ExplodeOuter | exp.PosexplodeOuter):
        raise unsupported("A LATERAL VIEW of this function", place_of(generator))
    positions = isinstance(generator, exp.Posexplode | exp.PosexplodeOuter)
    lists = _columns_of(generator.this, of_map=columns - positions == 2)  # noqa: PLR2004 - a key and a value
    rows = [call("unnest", one) for one in lists]
    if positions:
        rows.insert(0, call("unnest", _positions(lists, start=0)))
    return exp.Select(expressions=[exp.alias_(row, f"c{index}") for index, row in enumerate(rows)])


def _recursive_unnest(structs: exp.Expr) -> exp.Expr:
    return call("unnest", structs, exp.PropertyEQ(this=exp.to_identifier("recursive"), expression=exp.true()))


def _stack(generator: exp.Expr) -> exp.Select:
    width = stack_width(generator)
    count, values = generator.this, generator.expressions
    padded = [*values, *[exp.null()] * (width * int(count.name) - len(values))]
    lists = [exp.Array(expressions=[cell.copy() for cell in padded[column::width]]) for column in range(width)]
    return exp.Select(expressions=[exp.alias_(call("unnest", one), f"c{index}") for index, one in enumerate(lists)])


def _columns_of(value: exp.Expr, *, of_map: bool) -> list[exp.Expr]:
    return [call("map_keys", value), call("map_values", value)] if of_map else [value.copy()]


def _positions(lists: list[exp.Expr], *, start: int) -> exp.Expr:
    length = call("len", lists[0])
    if len(lists) > 1:
        length = call("greatest", *(call("coalesce", call("len", one), exp.Literal.number(0)) for one in lists))
    end = exp.Add(this=length, expression=exp.Literal.number(start)) if start else length
    return call("range", exp.Literal.number(start), end)


def _join(rows: exp.Select, lateral: exp.Lateral, *, outer: bool) -> exp.Join:
    side = exp.Lateral(this=exp.Subquery(this=rows), alias=lateral.args["alias"].copy())
    return exp.Join(this=side, side="LEFT", on=exp.true()) if outer else exp.Join(this=side, kind="CROSS")

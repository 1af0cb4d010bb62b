"""Clauses that change before names are resolved: grouping sets, explode in a projection, Hive's sorting clauses."""

from sqlglot import exp

from app.engines.embedded.translation.places import place_of, unsupported

_GENERATORS = (exp.Explode, exp.Posexplode, exp.ExplodeOuter, exp.PosexplodeOuter, exp.Inline, exp.Stack)


def reshape(tree: exp.Expr, maps: frozenset[str]) -> None:
    """Rewrite in place; `maps` are the lower-cased names of columns that hold maps."""
    for select in list(tree.find_all(exp.Select)):
        _reshape_grouping(select)
        _reshape_sorting(select)
        _reshape_generators(select, maps)
    for lateral in list(tree.find_all(exp.Lateral)):
        _name_columns(lateral, maps)


def reshape_hints(tree: exp.Expr) -> None:
    """Drop what names tables without reading them: hints, locks, MySQL's dual."""
    for select in list(tree.find_all(exp.Select)):
        _drop_hints(select)


def _drop_hints(select: exp.Select) -> None:
    for clause in ("hint", "locks"):
        select.set(clause, None)
    source = select.args.get("from_")
    if (
        source is not None
        and isinstance(source.this, exp.Table)
        and source.this.name.lower() == "dual"
        and not source.this.db
    ):
        select.set("from_", None)
    if select.args.get("into"):
        raise unsupported("SELECT … INTO", place_of(select), advice="read the task's output instead")


def _reshape_grouping(select: exp.Select) -> None:
    group = select.args.get("group")
    keys = [key.copy() for key in group.expressions] if group is not None else []
    if group is not None:
        for clause, kind in (("rollup", exp.Rollup), ("cube", exp.Cube)):
            with_clause = group.args.get(clause)
            if with_clause and not any(part.expressions for part in with_clause):
                group.set(clause, None)
                group.set("expressions", [kind(expressions=keys)])
        if group.args.get("grouping_sets") and group.expressions:
            sets = [part for clause in group.args["grouping_sets"] for part in clause.expressions]
            group.set("grouping_sets", None)
            group.set("expressions", [exp.GroupingSets(expressions=sets)])
            keys = keys or list(dict.fromkeys(part.copy() for one in sets for part in one.find_all(exp.Column)))
    if len(keys) == 1 and isinstance(keys[0], exp.Rollup | exp.Cube | exp.GroupingSets):
        keys = list(dict.fromkeys(column.copy() for column in keys[0].find_all(exp.Column)))
    _reshape_grouping_id(select, keys)


def _reshape_grouping_id(select: exp.Select, keys: list[exp.Expr]) -> None:
    """Hive's grouping__id and Spark's grouping_id() look at all keys."""
    for column in list(select.find_all(exp.Column)):
        if column.name.lower() == "grouping__id" and not column.table and column.find_ancestor(exp.Select) is select:
            column.replace(_grouping_id(keys, column))
    for call in list(select.find_all(exp.Anonymous)):
        if call.name.upper() == "GROUPING_ID" and not call.expressions and call.find_ancestor(exp.Select) is select:
            call.replace(_grouping_id(keys, call))


def _grouping_id(keys: list[exp.Expr], node: exp.Expr) -> exp.Expr:
    if not keys:
        raise unsupported("GROUPING__ID without GROUP BY", place_of(node))
    made: exp.Expr = exp.Grouping(expressions=[key.copy() for key in keys])
    if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
        made = exp.Alias(this=made, alias=exp.to_identifier(node.name.lower(), quoted=True))
    return made


def _reshape_sorting(select: exp.Select) -> None:
    """SORT BY and CLUSTER BY order each reducer's rows; with one reducer that is the whole."""
    for clause in ("cluster", "sort"):
        given = select.args.get(clause)
        if given is not None and select.args.get("order") is None:
            select.set("order", exp.Order(expressions=[part.copy() for part in given.expressions]))
        select.set(clause, None)
    select.set("distribute", None)


def _reshape_generators(select: exp.Select, maps: frozenset[str]) -> None:
    """SELECT a, explode(b) AS c FROM t: the same as a lateral view, which is all that the later rules know."""
    for index, projection in enumerate(list(select.expressions)):
        generator = projection.this if isinstance(projection, exp.Alias | exp.Aliases) else projection
        if not isinstance(generator, _GENERATORS):
            continue
        if isinstance(projection, exp.Alias):
            names = [projection.alias]
        elif isinstance(projection, exp.Aliases):
            names = [identifier.name for identifier in projection.expressions]
        else:
            names = _default_names(generator, maps)
        source = f"generated_{index}"
        if select.args.get("from_") is None:
            one = exp.select(exp.alias_(exp.Literal.number(1), "one")).subquery("nothing")
            select.set("from_", exp.From(this=one))
        lateral = exp.Lateral(
            this=generator.copy(),
            view=True,
            outer=isinstance(generator, exp.ExplodeOuter | exp.PosexplodeOuter),
            alias=exp.TableAlias(this=exp.to_identifier(source), columns=[exp.to_identifier(name) for name in names]),
        )
        select.append("laterals", lateral)
        columns = [exp.column(name, table=source) for name in names]
        position = select.expressions.index(projection)
        select.set("expressions", [*select.expressions[:position], *columns, *select.expressions[position + 1 :]])


def _name_columns(lateral: exp.Lateral, maps: frozenset[str]) -> None:
    alias = lateral.args.get("alias")
    if alias is None:
        alias = exp.TableAlias(this=exp.to_identifier("lateral_view"))
        lateral.set("alias", alias)
    if not alias.args.get("columns") and isinstance(lateral.this, _GENERATORS):
        alias.set("columns", [exp.to_identifier(name) for name in _default_names(lateral.this, maps)])


def stack_width(generator: exp.Expr) -> int:
    """Columns of STACK(rows, values…).

    Raises: TerminalEngineError with code UNSUPPORTED where the number of rows is no constant.
    """
    count, values = generator.this, generator.expressions
    if not count.name.isdigit() or int(count.name) == 0:
        raise unsupported("STACK with a computed number of rows", place_of(generator))
    return -(-len(values) // int(count.name))


def _default_names(generator: exp.Expr, maps: frozenset[str]) -> list[str]:
    if isinstance(generator, exp.Stack):
        return [f"col{index}" for index in range(stack_width(generator))]
    if isinstance(generator, exp.Inline):
        raise unsupported("INLINE without names", place_of(generator), advice="name its columns: AS (a, b)")
    value = generator.this
    of_map = isinstance(value, exp.Map | exp.VarMap | exp.StrToMap) or (
        isinstance(value, exp.Column) and value.name.lower() in maps
    )
    names = ["key", "value"] if of_map else ["col"]
    return ["pos", *names] if isinstance(generator, exp.Posexplode) else names

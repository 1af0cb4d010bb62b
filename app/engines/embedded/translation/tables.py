"""Which names in a tree are tables of the catalogue, and what the catalogue calls them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from app.engines.embedded.translation.places import place_of, unsupported

_DEFAULT_SCHEMAS = frozenset({"default", "public", "main"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSchema:
    """Columns of a table in order, as written, with DuckDB's names of their types."""

    columns: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


def table_key(table: exp.Table) -> str:
    """The catalogue's name: lower case, with its schema unless that is the default; a catalog in front is dropped."""
    name, schema = table.name.lower(), table.db.lower()
    return f"{schema}.{name}" if schema and schema not in _DEFAULT_SCHEMAS else name


def references(tree: exp.Expr) -> list[exp.Table]:
    """Every table that the tree reads, without the names that its own WITH defines.

    Raises: TerminalEngineError with code UNSUPPORTED for functions and files in the place of a table.
    """
    found = []
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            name = table.this.sql_name() if isinstance(table.this, exp.Func) else type(table.this).__name__
            name = table.this.name if isinstance(table.this, exp.Anonymous) else name
            raise unsupported(f"The table function {name.upper()}", place_of(table))
        if table.args.get("catalog") is None and not table.db and _defined_above(table):
            continue
        for clause, word in (("version", "Time travel"), ("when", "Time travel"), ("changes", "CHANGES")):
            if table.args.get(clause):
                raise unsupported(f"{word} on {table.name}", place_of(table))
        found.append(table)
    return found


def bind(tree: exp.Expr, lookup: Callable[[exp.Table], str]) -> None:
    """Give every table its key, and the name that the query calls it by as alias."""
    for table in references(tree):
        key = lookup(table)
        if not table.alias:
            table.set("alias", exp.TableAlias(this=table.this.copy()))
        identifier = exp.to_identifier(key, quoted=True).update_positions(table.this)
        identifier.meta["bound"] = True
        table.set("this", identifier)
        table.set("db", None)
        table.set("catalog", None)
        table.set("partition", None)


def resolve(table: exp.Table, known: Mapping[str, object]) -> str | None:
    """The key under which the table is known; a schema that nothing else names here is looked through."""
    key = table_key(table)
    if key in known:
        return key
    bare = table.name.lower()
    return bare if bare in known else None


def _defined_above(table: exp.Table) -> bool:
    name = table.name.lower()
    node: exp.Expr | None = table
    while node is not None:
        with_ = node.args.get("with_")
        if with_ is not None and any(
            cte.alias.lower() == name for cte in with_.expressions if not _inside(table, cte, with_)
        ):
            return True
        node = node.parent
    return False


def _inside(table: exp.Table, cte: exp.Expr, with_: exp.With) -> bool:
    """Whether the table stands in the CTE's own text, where its name means a table of the catalogue."""
    if with_.args.get("recursive"):
        return False
    node: exp.Expr | None = table
    while node is not None and node is not with_:
        if node is cte:
            return True
        node = node.parent
    return False

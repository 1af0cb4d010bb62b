"""How a value of each DuckDB type becomes the text of a CSV cell, as SQL, by the rules of app.domain.csv_format."""

from app.engines.embedded.literals import literal

INTEGERS = frozenset(
    {
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
    }
)
_NEVER_QUOTED = INTEGERS | {"DOUBLE", "FLOAT", "BOOLEAN", "DATE", "UUID"}


def text_of(name: str, kind: str) -> tuple[str, bool]:  # noqa: PLR0911 - one return for each kind of type
    """The expression of the cell's text, and whether that text may want quotes; NULL stays NULL."""
    if kind in _NEVER_QUOTED or kind.startswith("DECIMAL("):
        return f"{name}::VARCHAR", False
    if kind in {"TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"}:
        precise = f"strftime({name}, '%Y-%m-%d %H:%M:%S.%f')"
        return f"CASE WHEN epoch_us({name}) % 1000000 = 0 THEN {name}::VARCHAR ELSE {precise} END", False
    if kind == "TIMESTAMP WITH TIME ZONE":
        moment, _ = text_of(f"({name}::TIMESTAMP)", "TIMESTAMP")
        return f"{moment} || '+00:00'", False
    if kind == "TIME":
        precise = f"rpad({name}::VARCHAR, 15, '0')"
        return f"CASE WHEN epoch_us({name}) % 1000000 = 0 THEN {name}::VARCHAR ELSE {precise} END", False
    if kind == "BLOB":
        return f"to_base64({name})", False
    if kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(")):
        return f"to_json({name})::VARCHAR", True
    return (name if kind == "VARCHAR" else f"{name}::VARCHAR"), True


def cell_of(name: str, kind: str, delimiter: str) -> str:
    """The expression of the cell's very characters, quotes included."""
    text, may_want_quotes = text_of(name, kind)
    return quoted(text, delimiter) if may_want_quotes else text


def quoted(text: str, delimiter: str) -> str:
    """The text as app.domain.csv_format.quote writes it, in SQL; NULL is the empty cell."""
    separator = {"]": "\\]", "\\": "\\\\", "^": "\\^", "-": "\\-"}.get(delimiter, delimiter)
    special = literal(f'[{separator}"\n\r]|^ | $')
    in_quotes = f"""'"' || replace({text}, '"', '""') || '"'"""
    wanted = f"{text} = '' OR regexp_matches({text}, {special})"
    return f"CASE WHEN {text} IS NULL THEN '' WHEN {wanted} THEN {in_quotes} ELSE {text} END"

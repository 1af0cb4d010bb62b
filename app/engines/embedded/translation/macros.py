"""Functions of the dialects that DuckDB has no match for, written as DuckDB macros; a job makes those that it uses."""

import re
from collections.abc import Mapping

PREFIX = "phantom_"

# Each text is what follows CREATE TEMP MACRO <name>; a macro may use another one of this table.
MACROS: Mapping[str, str] = {
    "pmod": "(a, b) AS ((a % nullif(b, 0)) + b) % nullif(b, 0)",
    "map_agg": "(k, v) AS phantom_pairs(list(k) FILTER (WHERE k IS NOT NULL), list(v) FILTER (WHERE k IS NOT NULL))",
    "pairs": (
        "(ks, vs) AS map(list_distinct(ks), list_transform(list_distinct(ks), lambda x: vs[list_position(ks, x)]))"
    ),
    "multimap_agg": (
        "(k, v) AS phantom_groups(list(k) FILTER (WHERE k IS NOT NULL), list(v) FILTER (WHERE k IS NOT NULL))"
    ),
    "groups": (
        "(ks, vs) AS map(list_distinct(ks), list_transform(list_distinct(ks), "
        "lambda x: list_transform(list_filter(list_zip(ks, vs), lambda p: p[1] = x), lambda p: p[2])))"
    ),
    "str_to_map": (
        "(s, pair, kv) AS map_from_entries(list_transform(string_split(s, pair), lambda p: "
        "{'key': string_split(p, kv)[1], 'value': string_split(p, kv)[2]}))"
    ),
    "substring_index": (
        "(s, d, n) AS CASE WHEN n = 0 OR d = '' THEN left(s, 0) "
        "WHEN n > 0 THEN array_to_string(string_split(s, d)[:n], d) "
        "WHEN -n >= len(string_split(s, d)) THEN s ELSE array_to_string(string_split(s, d)[n:], d) END"
    ),
    "substring": (
        "(s, p, n) AS CASE WHEN n <= 0 THEN left(s, 0) WHEN p = 0 THEN substring(s, 1, n) "
        "WHEN -p > length(s) THEN left(s, greatest(0, length(s) + p + n)) ELSE substring(s, p, n) END"
    ),
    "substring_from": "(s, p) AS CASE WHEN p = 0 OR -p > length(s) THEN s ELSE substring(s, p) END",
    "mysql_substring": (
        "(s, p, n) AS CASE WHEN p = 0 OR -p > length(s) OR n <= 0 THEN left(s, 0) ELSE substring(s, p, n) END"
    ),
    "mysql_substring_from": "(s, p) AS CASE WHEN p = 0 OR -p > length(s) THEN left(s, 0) ELSE substring(s, p) END",
    "initcap": (
        "(s) AS list_aggregate(list_transform(string_split(lower(s), ' '), lambda w: upper(w[1]) || w[2:]), "
        "'string_agg', ' ')"
    ),
    "regexp_substr": "(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END",
    "regexp_instr": (
        "(s, p) AS CASE WHEN regexp_matches(s, p) THEN strpos(s, regexp_extract(s, p)) WHEN s IS NOT NULL THEN 0 END"
    ),
    "json_text": "(s, p) AS CASE WHEN json_valid(s) THEN json_extract_string(s, p) END",
    "json_scalar": (
        "(s, p) AS CASE WHEN json_valid(s) AND json_type(s, p) NOT IN ('OBJECT', 'ARRAY') "
        "THEN json_extract_string(s, p) END"
    ),
    "json_part": "(s, p) AS CASE WHEN json_valid(s) THEN json_extract(s, p) END",
    "json_unquote": (
        "(s) AS CASE WHEN starts_with(s, '\"') AND json_valid(s) THEN json_extract_string(s, '$') ELSE s::VARCHAR END"
    ),
    "week_sunday": "(d) AS CAST(strftime(d, '%U') AS INTEGER)",
    "week_monday": "(d) AS CAST(strftime(d, '%W') AS INTEGER)",
    "week_iso_short": (
        "(d) AS CASE WHEN isoyear(d) < year(d) THEN 0 WHEN isoyear(d) > year(d) THEN 53 ELSE week(d) END"
    ),
    "yearweek_sunday": "(d) AS phantom_sunday_week(CAST(d AS DATE) - CAST(dayofweek(d) AS INTEGER))",
    "sunday_week": "(s) AS year(s) * 100 + (dayofyear(s) - 1) // 7 + 1",
    "yearweek_iso": "(d) AS isoyear(d) * 100 + week(d)",
    "try_time": "(s, f) AS try_strptime(CAST(s AS VARCHAR), f)",
    "unix": "(t) AS CAST(floor(epoch(t)) AS BIGINT)",
    "from_unix": "(n) AS make_timestamp(CAST(CAST(n AS DOUBLE) * 1000000 AS BIGINT))",
    "integer": (  # a text with a fraction is cut, not rounded
        "(s) AS CASE WHEN contains(s, '.') THEN TRY_CAST(trunc(TRY_CAST(s AS DOUBLE)) AS BIGINT) "
        "ELSE TRY_CAST(s AS BIGINT) END"
    ),
    "field": "(s, l) AS coalesce(list_position(l, s), 0)",
    "find_in_set": (
        "(s, l) AS CASE WHEN l IS NULL OR s IS NULL THEN NULL "
        "ELSE coalesce(list_position(string_split(l, ','), s), 0) END"
    ),
    "format_number": "(x, n) AS format('{:,.' || n || 'f}', CAST(x AS DOUBLE))",
    "space": "(n) AS repeat(' ', CAST(n AS BIGINT))",
    "array_join": "(l, d, n) AS array_to_string(list_transform(l, lambda x: coalesce(CAST(x AS VARCHAR), n)), d)",
    "transform_values": ("(m, vs) AS map(map_keys(m), vs)"),
    "strcmp": "(a, b) AS CASE WHEN a < b THEN -1 WHEN a > b THEN 1 WHEN a = b THEN 0 END",
    "seconds_to_time": "(n) AS CAST(to_seconds(n) AS TIME)",
    "width_bucket": (
        "(x, low, high, n) AS CASE WHEN x < low THEN 0 WHEN x >= high THEN n + 1 "
        "WHEN x IS NOT NULL THEN CAST(floor((x - low) / (high - low) * n) AS BIGINT) + 1 END"
    ),
    "geometric_mean": "(x) AS exp(avg(ln(x)))",
    "url_host": "(s) AS nullif(regexp_extract(s, '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^@/]*@)?([^:/?#]+)', 1), '')",
    "url_path": "(s) AS regexp_extract(s, '^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*([^?#]*)', 1)",
    "url_query": "(s) AS nullif(regexp_extract(s, '[?]([^#]*)', 1), '')",
    "url_protocol": "(s) AS nullif(regexp_extract(s, '^([a-zA-Z][a-zA-Z0-9+.-]*)://', 1), '')",
}

_CALL = re.compile(rf"\b{PREFIX}([a-z_]+)\s*\(", re.IGNORECASE)


def macros_for(sql: str) -> list[str]:
    """The statements that make the macros which `sql` calls, each after those that it uses itself."""
    ordered: dict[str, str] = {}
    _collect(sql, ordered)
    return [f"CREATE OR REPLACE TEMP MACRO {PREFIX}{name}{text}" for name, text in ordered.items()]


def _collect(sql: str, ordered: dict[str, str]) -> None:
    for name in dict.fromkeys(match.lower() for match in _CALL.findall(sql)):
        if name in MACROS and name not in ordered:
            _collect(MACROS[name], ordered)
            ordered[name] = MACROS[name]

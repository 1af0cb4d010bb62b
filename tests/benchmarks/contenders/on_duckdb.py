"""DuckDB: a full outer join by the key (`join`), EXCEPT ALL both ways (`except`), or sums by whole rows (`group`).

All columns have types, which was faster than text, and the sniffer is off.
"""

import sys
from typing import Any

import duckdb
from question import File, Question, answer

TYPES = {
    "integer": "BIGINT",
    "number": "DECIMAL(12, 6)",
    "date": "DATE",
    "text": "VARCHAR",
}


def join(question: Question) -> dict[str, Any]:
    key, values = question.key, question.values
    differ = {name: f"l.{name} IS DISTINCT FROM r.{name}" for name in values}
    both = f"l.{key} IS NOT NULL AND r.{key} IS NOT NULL"
    rows, changed, left_only, right_only, *columns = _row(f"""
        SELECT count(*), count(*) FILTER ({both} AND ({" OR ".join(differ.values())})),
            count(*) FILTER (r.{key} IS NULL), count(*) FILTER (l.{key} IS NULL),
            {", ".join(f"count(*) FILTER ({both} AND {each})" for each in differ.values())}
        FROM {_table(question.left, question)} l FULL JOIN {_table(question.right, question)} r ON l.{key} = r.{key}
        """)
    return {
        "common": rows - changed - left_only - right_only,
        "changed": changed,
        "left_only": left_only,
        "right_only": right_only,
        "columns": dict(zip(values, columns, strict=True)),
    }


def except_all(question: Question) -> dict[str, Any]:
    cells = ", ".join(question.values)
    left, right = (f"SELECT {cells} FROM {_table(side, question)}" for side in (question.left, question.right))
    left_only, right_only = _row(f"""
        SELECT (SELECT count(*) FROM ({left} EXCEPT ALL {right})), (SELECT count(*) FROM ({right} EXCEPT ALL {left}))
        """)
    return {"left_only": left_only, "right_only": right_only}


def group(question: Question) -> dict[str, Any]:
    cells = ", ".join(question.values)
    left_only, right_only = _row(f"""
        SELECT coalesce(sum(greatest(surplus, 0)), 0)::BIGINT, coalesce(sum(greatest(-surplus, 0)), 0)::BIGINT FROM (
            SELECT sum(side) AS surplus FROM (
                SELECT {cells}, 1 AS side FROM {_table(question.left, question)}
                UNION ALL SELECT {cells}, -1 FROM {_table(question.right, question)}
            ) GROUP BY {cells}
        )
        """)
    return {"left_only": left_only, "right_only": right_only}


def _table(file: File, question: Question) -> str:
    columns = ", ".join(f"'{name}': '{TYPES[question.kinds[name]]}'" for name in file.columns)
    return (
        f"read_csv('{file.path}', auto_detect = false, header = true, delim = '{file.delimiter}', quote = '\"', "
        f"escape = '\"', columns = {{{columns}}})"
    )


def _row(query: str) -> tuple[int, ...]:
    with duckdb.connect() as connection:
        row = connection.execute(query).fetchone()
    if row is None:
        raise AssertionError(query)
    return row


if __name__ == "__main__":
    answer({"join": join, "except": except_all, "group": group}[sys.argv.pop(1)])

"""Polars, lazily and with its streaming engine: a full join by the key (`join`), or sums by whole rows (`group`)."""

import sys
from typing import Any

import polars as pl
from question import File, Question, answer

TYPES = {"integer": pl.Int64, "number": pl.Float64, "date": pl.Date, "text": pl.String}


def join(question: Question) -> dict[str, Any]:
    values, key = question.values, str(question.key)
    right = _scan(question.right, question).rename({name: f"{name}_right" for name in question.kinds})
    joined = _scan(question.left, question).join(
        right, left_on=key, right_on=f"{key}_right", how="full", coalesce=False
    )
    both = pl.col(key).is_not_null() & pl.col(f"{key}_right").is_not_null()
    differ = {name: both & pl.col(name).ne_missing(pl.col(f"{name}_right")) for name in values}
    counts = _row(
        joined.select(
            rows=pl.len(),
            changed=pl.any_horizontal(*differ.values()).sum(),
            left_only=pl.col(f"{key}_right").is_null().sum(),
            right_only=pl.col(key).is_null().sum(),
            **{f"in_{name}": each.sum() for name, each in differ.items()},
        )
    )
    return {
        "common": counts["rows"] - counts["changed"] - counts["left_only"] - counts["right_only"],
        **{name: counts[name] for name in ("changed", "left_only", "right_only")},
        "columns": {name: counts[f"in_{name}"] for name in values},
    }


def group(question: Question) -> dict[str, Any]:
    sides = [
        _scan(file, question).select(*question.values).with_columns(side=pl.lit(sign, pl.Int32))
        for file, sign in ((question.left, 1), (question.right, -1))
    ]
    surplus = pl.col("side")
    sums = pl.concat(sides).group_by(question.values).agg(surplus.sum())
    return _row(
        sums.select(
            left_only=surplus.filter(surplus > 0).sum(),
            right_only=-surplus.filter(surplus < 0).sum(),
        )
    )


def _scan(file: File, question: Question) -> pl.LazyFrame:
    return pl.scan_csv(
        file.path, separator=file.delimiter, schema={name: TYPES[question.kinds[name]] for name in file.columns}
    )


def _row(frame: pl.LazyFrame) -> dict[str, int]:
    return frame.collect(engine="streaming").to_dicts()[0]


if __name__ == "__main__":
    answer({"join": join, "group": group}[sys.argv.pop(1)])

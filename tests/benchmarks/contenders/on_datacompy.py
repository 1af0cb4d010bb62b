"""DataComPy by the key, over tables that Polars (`polars`) or pandas (`pandas`) have read."""

import sys
from typing import Any

import pandas as pd
import polars as pl
from datacompy import PandasCompare, PolarsCompare
from question import File, Question, answer

IN_POLARS = {"integer": pl.Int64, "number": pl.Float64, "date": pl.Date, "text": pl.String}
IN_PANDAS = {"integer": "int64", "number": "float64", "date": "str", "text": "str"}


def by_polars(question: Question) -> dict[str, Any]:
    def read(file: File) -> pl.DataFrame:
        schema = {name: IN_POLARS[question.kinds[name]] for name in file.columns}
        return pl.read_csv(file.path, separator=file.delimiter, schema=schema)

    return _counts(PolarsCompare(read(question.left), read(question.right), join_columns=str(question.key)))


def by_pandas(question: Question) -> dict[str, Any]:
    def read(file: File) -> pd.DataFrame:
        types = {name: IN_PANDAS[question.kinds[name]] for name in file.columns}
        return pd.read_csv(file.path, sep=file.delimiter, dtype=types, engine="pyarrow")

    return _counts(PandasCompare(read(question.left), read(question.right), join_columns=str(question.key)))


def _counts(compared: PandasCompare | PolarsCompare) -> dict[str, Any]:
    common = int(compared.count_matching_rows())
    return {
        "common": common,
        "changed": len(compared.intersect_rows) - common,
        "left_only": len(compared.df1_unq_rows),
        "right_only": len(compared.df2_unq_rows),
        "columns": {
            column["column"]: int(column["unequal_cnt"])
            for column in compared.column_stats
            if column["column"] not in compared.join_columns
        },
    }


if __name__ == "__main__":
    answer({"polars": by_polars, "pandas": by_pandas}[sys.argv.pop(1)])

"""Cells of every type as Presto and Trino have them in JSON, read to what the output says of them."""

from decimal import Decimal

import pytest

from app.domain.csv_format import encode_rows
from app.engines.presto.values import output_columns, row_reading


def presto(kind, *inside, names=None):
    """A type's signature as Presto 0.287 writes it: types of fields are texts in `arguments`."""
    return {
        "rawType": kind,
        "typeArguments": list(inside),
        "literalArguments": list(names or []),
        "arguments": [{"kind": "NAMED_TYPE_SIGNATURE", "value": {"typeSignature": "some text"}} for _ in inside],
    }


def trino(kind, *inside, names=None):
    """A type's signature as Trino writes it."""
    if kind == "row":
        fields = zip(inside, names or [None] * len(inside), strict=True)
        return {
            "rawType": "row",
            "arguments": [
                {
                    "kind": "NAMED_TYPE",
                    "value": {**({"fieldName": {"name": name}} if name else {}), "typeSignature": type_},
                }
                for type_, name in fields
            ],
        }
    return {"rawType": kind, "arguments": [{"kind": "TYPE", "value": type_} for type_ in inside]}


def cell(signature, value):
    columns = [{"name": "a", "type": "x", "typeSignature": signature}]
    (row,) = row_reading(columns)([[value]])
    return encode_rows([row], "|").decode().rstrip("\n")


@pytest.fixture(params=[presto, trino], ids=lambda family: family.__name__)
def of(request):
    return request.param


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("bigint", 9_223_372_036_854_775_807, "9223372036854775807"),
        ("decimal", "12345678901234567890.0100", "12345678901234567890.0100"),
        ("double", 0.1, "0.1"),
        ("double", "NaN", "nan"),
        ("double", "Infinity", "inf"),
        ("real", "-Infinity", "-inf"),
        ("boolean", True, "true"),
        ("varchar", "", '""'),
        ("varchar", None, ""),
        ("double", None, ""),
        ("char", "a  ", '"a  "'),
        ("varbinary", "AP8=", "AP8="),
        ("date", "2020-02-29", "2020-02-29"),
        ("timestamp", "2020-01-01 01:02:03.123456789012", "2020-01-01 01:02:03.123456789012"),
        ("timestamp with time zone", "2020-01-01 01:02:03.000 UTC", "2020-01-01 01:02:03.000 UTC"),
        ("json", '{"a":9007199254740993}', '"{""a"":9007199254740993}"'),
        ("unheard of", "as it is", "as it is"),
    ],
)
def test_a_value_keeps_all_that_the_server_says(of, kind, value, text):
    assert cell(of(kind), value) == text


def test_what_is_nested_is_json_with_exact_numbers(of):
    decimals = of("array", of("decimal"))
    assert cell(decimals, ["1.50", None]) == "[1.50,null]"
    assert cell(decimals, '[ "1.50", null ]') == "[1.50,null]"  # Presto writes it as a text that is JSON
    assert cell(of("array", of("double")), ["NaN", 1.5]) == '"[""NaN"",1.5]"'
    assert cell(of("array", of("bigint")), [9_007_199_254_740_993]) == "[9007199254740993]"
    assert cell(of("map", of("varchar"), of("decimal")), {"k": "2.0"}) == '"{""k"":2.0}"'
    assert cell(of("array", of("date")), ["2020-01-01"]) == '"[""2020-01-01""]"'
    nested = of("array", of("array", of("decimal")))
    assert cell(nested, [["1.0"], None]) == "[[1.0],null]"
    assert cell(nested, '["[ \\"1.0\\" ]", null]') == "[[1.0],null]"  # at every depth
    assert cell(of("map", of("varchar"), of("array", of("date"))), '{"k": "[ 1, 2 ]"}') == '"{""k"":[1,2]}"'


def test_a_row_has_the_names_of_its_fields_where_it_has_them(of):
    named = of("row", of("bigint"), of("decimal"), names=["a", "b"])
    assert cell(named, [1, "2.50"]) == '"{""a"":1,""b"":2.50}"'
    assert cell(of("row", of("bigint"), of("bigint"), names=[None, None]), [1, 2]) == "[1,2]"
    assert cell(of("row", of("bigint"), of("bigint"), names=["a", "a"]), [1, 2]) == "[1,2]"
    assert cell(of("array", named), [[1, "2.50"], None]) == '"[{""a"":1,""b"":2.50},null]"'


def test_rows_that_need_no_reading_are_not_copied(of):
    rows = [["a", Decimal(1)]]
    columns = [{"name": "a", "typeSignature": of("varchar")}, {"name": "b"}]
    assert row_reading(columns)(rows) is rows


def test_labels_and_types_are_the_server_s(of):
    (column,) = output_columns([{"name": "Läbel", "type": "decimal(3,2)", "typeSignature": of("decimal")}])
    assert (column.name, column.type) == ("Läbel", "decimal(3,2)")

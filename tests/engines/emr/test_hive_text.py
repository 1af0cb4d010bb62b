"""Hive's text of rows read back."""

from collections.abc import AsyncIterator

from app.domain.outputs import OutputColumn
from app.engines.emr.hive_text import HiveText
from app.engines.emr.rows import csv_rows, hive_rows


def test_null_the_empty_string_and_what_is_escaped_are_told_apart():
    rows = HiveText(["int", "string", "string"]).rows(
        b"1\x01\\N\x01\n2\x01\x01a\\\x01b\\nc\\\\N\n3\x01\\\\N\x01x\\\\\n"
    )
    assert rows == [["1", None, ""], ["2", "", "a\x01b\nc\\N"], ["3", "\\N", "x\\"]]


def test_containers_become_json_with_their_labels_and_kinds():
    types = ["array<struct<a:int,b:string>>", "map<string,array<decimal(3,2)>>", "struct<ok:boolean,n:bigint>"]
    text = b"1\x03x\\\x02y\x022\x03\\N\x01k\x031.50\x042.00\x02z\x03\x01true\x02\\N\n"
    assert HiveText(types).rows(text) == [
        ['[{"a":1,"b":"x\\u0002y"},{"a":2,"b":null}]', '{"k":[1.50,2.00],"z":[]}', '{"ok":true,"n":null}']
    ]


async def _pieces(text: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


async def test_rows_are_whole_wherever_the_pieces_end():
    text = 'a,"b ""c"", \n d",\n1,"",é🙂\n'.encode()
    for size in range(1, len(text) + 1):
        rows = [row async for batch in csv_rows(_pieces(text, size)) for row in batch]
        assert rows == [["a", 'b "c", \n d', None], ["1", "", "é🙂"]], size
    columns = [OutputColumn(name="a", type="STRING"), OutputColumn(name="b", type="INT")]
    for size in range(1, 12):
        rows = [
            row async for batch in hive_rows(_pieces("é\x011\n\\N\x012\n".encode(), size), columns) for row in batch
        ]
        assert rows == [["é", "1"], [None, "2"]], size

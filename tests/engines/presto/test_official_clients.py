"""What Presto's and Trino's own clients read, beside what the engine brings: of the same texts, on the same servers."""

import asyncio
from typing import Any

import prestodb
import pytest
import trino

from app.domain.csv_format import encode_rows
from app.engines.presto.dialect import Dialect
from tests.engines.presto.conftest import SERVERS
from tests.engines.presto.driving import driver_for

TEXT = (
    "SELECT 9223372036854775807 AS a, CAST('1.50' AS decimal(5,2)) AS b, true AS c, 'é🙂''' AS d, CAST(NULL AS varchar)"
    " AS e, CAST(1 AS double) / 3 AS f, CAST('2020-02-29' AS date) AS g, '' AS h"
)


@pytest.mark.parametrize(("fixture", "dialect"), SERVERS)
async def test_the_engine_reads_what_the_vendor_s_client_reads(request, tmp_path, fixture, dialect):
    server = request.getfixturevalue(fixture)
    labels, rows = await asyncio.to_thread(_read, dialect, server.port, TEXT)
    async with driver_for(server.url, dialect, tmp_path) as driver:
        ended = await driver.run(TEXT)
    assert ended.labels == labels
    assert ended.text.encode().partition(b"\n")[2] == encode_rows(rows, ",")


def _read(dialect: Dialect, port: int, text: str) -> tuple[list[str], list[Any]]:
    connect = trino.dbapi.connect if dialect is Dialect.TRINO else prestodb.dbapi.connect
    connection = connect(host="127.0.0.1", port=port, user="tests", catalog="memory", schema="default")
    try:
        cursor = connection.cursor()
        cursor.execute(text)
        rows = cursor.fetchall()
        return [column[0] for column in cursor.description], rows
    finally:
        connection.close()

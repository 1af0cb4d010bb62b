# ruff: noqa: E501, Q003 - a case is a line, whatever its length and quotes
"""Clauses over real tables: joins, groupings, lateral views, windows, orders and labels, by dialect."""

import pytest

from app.domain.tasks import TaskType
from app.engines.base import WorkState

HIVE, PRESTO, SPARK, MYSQL = TaskType.HIVE, TaskType.PRESTO, TaskType.SPARK_SQL, TaskType.MYSQL
ALL = [HIVE, SPARK, PRESTO, MYSQL]

# (dialects, text, the CSV without its header)
QUERIES = [
    (ALL, "SELECT shop, sum(amount) AS s, count(*) AS n FROM sales GROUP BY shop ORDER BY shop", "east,,1\nnorth,30,2\nsouth,12,2\n"),
    (ALL, "SELECT id FROM sales ORDER BY amount, id LIMIT 2", {PRESTO: "3\n4\n", HIVE: "5\n3\n", SPARK: "5\n3\n", MYSQL: "5\n3\n"}),
    (ALL, "SELECT id FROM sales ORDER BY amount DESC LIMIT 1", "2\n"),
    (ALL, "WITH big AS (SELECT * FROM sales WHERE amount >= 10) SELECT count(*) AS n FROM big", "2\n"),
    (ALL, "SELECT a.id, b.id AS other FROM sales a JOIN sales b ON a.shop = b.shop AND a.id < b.id ORDER BY a.id", "1,2\n3,4\n"),
    (ALL, "SELECT id FROM sales WHERE note = 'a,b'", "1\n"),
    (ALL, "SELECT note FROM sales WHERE id = 1", '"a,b"\n'),
    (ALL, "SELECT id FROM sales s WHERE EXISTS (SELECT 1 FROM nested n WHERE n.id = s.id) ORDER BY id", "1\n2\n3\n"),
    (ALL, "SELECT id FROM sales WHERE shop IN (SELECT shop FROM sales WHERE amount > 10) ORDER BY id", "1\n2\n"),
    (ALL, "SELECT shop FROM sales UNION SELECT 'west' AS shop ORDER BY shop", "east\nnorth\nsouth\nwest\n"),
    (ALL, "SELECT shop, id, row_number() OVER (PARTITION BY shop ORDER BY id DESC) AS r FROM sales ORDER BY id", "north,1,2\nnorth,2,1\nsouth,3,2\nsouth,4,1\neast,5,1\n"),
    (ALL, "SELECT id, lag(amount) OVER (ORDER BY id) AS before FROM sales ORDER BY id", "1,\n2,10\n3,20\n4,5\n5,7\n"),
    (ALL, "SELECT id, sum(amount) OVER (PARTITION BY shop ORDER BY id) AS running FROM sales ORDER BY id", "1,10\n2,30\n3,5\n4,12\n5,\n"),
    (ALL, "SELECT shop, avg(amount) AS a FROM sales GROUP BY shop HAVING count(*) > 1 ORDER BY 1", {MYSQL: "north,15.0000\nsouth,6.0000\n", PRESTO: "north,15.0\nsouth,6.0\n", HIVE: "north,15.0\nsouth,6.0\n", SPARK: "north,15.0\nsouth,6.0\n"}),
    (ALL, "SELECT count(DISTINCT shop) AS n FROM sales", "3\n"),
    (ALL, "SELECT s.id FROM sales s LEFT JOIN nested n ON n.id = s.id WHERE n.id IS NULL ORDER BY s.id", "4\n5\n"),
    ([HIVE, SPARK, MYSQL], "SELECT `id` FROM `sales` WHERE `shop` = \"east\"", "5\n"),
    ([PRESTO], 'SELECT "id" FROM "sales" WHERE "shop" = \'east\'', "5\n"),
    ([MYSQL], "SELECT id FROM sales ORDER BY id LIMIT 1, 2", "2\n3\n"),
    ([MYSQL], "SELECT 1 AS one FROM dual", "1\n"),
    ([MYSQL], "SELECT shop, GROUP_CONCAT(id ORDER BY id DESC SEPARATOR '; ') AS ids FROM sales GROUP BY shop ORDER BY shop", "east,5\nnorth,2; 1\nsouth,4; 3\n"),
    ([MYSQL], "SELECT DATE_FORMAT(sold_at, '%Y-%m') AS m, COUNT(*) AS n FROM sales GROUP BY m ORDER BY m", "2024-01,3\n2024-02,1\n2024-12,1\n"),
    ([MYSQL], "SELECT shop, SUM(amount) AS s FROM sales GROUP BY shop WITH ROLLUP ORDER BY s", "east,\nsouth,12\nnorth,30\n,42\n"),
    ([MYSQL], "SELECT SUM(amount > 6) AS n FROM sales", "3\n"),
    ([MYSQL], "SELECT id FROM sales WHERE day >= '2024-02-01' ORDER BY id", "4\n5\n"),
    ([MYSQL], "SELECT SUM(amount) / COUNT(amount) AS mean FROM sales", "10.5000\n"),
    ([HIVE, SPARK], "SELECT shop, collect_list(id) AS ids FROM sales GROUP BY shop ORDER BY shop", 'east,[5]\nnorth,"[1,2]"\nsouth,"[3,4]"\n'),
    ([HIVE, SPARK], "SELECT concat_ws('|', sort_array(collect_set(shop))) AS shops FROM sales", "east|north|south\n"),
    ([HIVE, SPARK], "SELECT n.id, t.tag FROM nested n LATERAL VIEW explode(n.tags) t AS tag ORDER BY n.id, t.tag", "1,a\n1,b\n3,c\n"),
    ([HIVE, SPARK], "SELECT n.id, tag FROM nested n LATERAL VIEW OUTER explode(tags) t AS tag ORDER BY n.id, tag", "1,a\n1,b\n2,\n3,c\n"),
    ([HIVE, SPARK], "SELECT id, pos, tag FROM nested LATERAL VIEW posexplode(tags) t AS pos, tag ORDER BY id, pos", "1,0,a\n1,1,b\n3,0,c\n"),
    ([HIVE, SPARK], "SELECT k, v FROM sales LATERAL VIEW explode(map('a', id, 'b', amount)) m AS k, v WHERE id = 1 ORDER BY k", "a,1\nb,10\n"),
    ([HIVE, SPARK], "SELECT id, a, b FROM nested LATERAL VIEW explode(tags) x AS a LATERAL VIEW explode(tags) y AS b WHERE id = 1 ORDER BY a, b", "1,a,a\n1,a,b\n1,b,a\n1,b,b\n"),
    ([HIVE, SPARK], "SELECT id, j.k FROM nested LATERAL VIEW json_tuple(doc, 'k') j AS k WHERE id = 1", '1,"{""n"":1}"\n'),
    ([SPARK, HIVE], "SELECT id, explode(tags) AS tag FROM nested ORDER BY id, tag", "1,a\n1,b\n3,c\n"),
    ([SPARK], "SELECT explode(array(1, 2)) AS n", "1\n2\n"),
    ([SPARK], "SELECT stack(2, 'a', 1, 'b', 2) AS (k, v)", "a,1\nb,2\n"),
    ([HIVE], "SELECT k, v FROM sales LATERAL VIEW stack(2, 'a', 1, 'b', 2) s AS k, v WHERE id = 1 ORDER BY k", "a,1\nb,2\n"),
    ([PRESTO], "SELECT n.id, t.tag FROM nested n CROSS JOIN UNNEST(n.tags) AS t (tag) ORDER BY n.id, t.tag", "1,a\n1,b\n3,c\n"),
    ([PRESTO], "SELECT id, tag, n FROM nested CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, n) ORDER BY id, n", "1,a,1\n1,b,2\n3,c,1\n"),
    ([PRESTO], "SELECT id, tag FROM nested LEFT JOIN UNNEST(tags) AS t (tag) ON TRUE ORDER BY id, tag", "1,a\n1,b\n2,\n3,c\n"),
    ([PRESTO], "SELECT k, v FROM (SELECT map_agg(shop, id) AS m FROM sales WHERE id IN (1, 3)) CROSS JOIN UNNEST(m) AS t (k, v) ORDER BY k", "north,1\nsouth,3\n"),
    ([PRESTO], "SELECT x, y FROM UNNEST(ARRAY[1, 2, 3], ARRAY['a', 'b']) AS t (x, y) ORDER BY x", "1,a\n2,b\n3,\n"),
    ([PRESTO], "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t (n, s) ORDER BY n", "1,a\n2,b\n"),
    ([PRESTO], "SELECT approx_percentile(amount, 0.5) AS p FROM sales", "7\n"),
    ([HIVE], "SELECT percentile_approx(amount, 0.5) AS p FROM sales", "8.5\n"),
    ([SPARK], "SELECT percentile_approx(amount, 0.5) AS p FROM sales", "7\n"),
    ([PRESTO], "SELECT shop, multimap_agg(shop, id) AS m FROM sales WHERE shop = 'north' GROUP BY shop", 'north,"{""north"":[1,2]}"\n'),
    ([PRESTO], "SELECT count_if(amount > 6) AS n, max_by(id, amount) AS best FROM sales", "3,2\n"),
    ([PRESTO], "SELECT approx_distinct(shop) AS n FROM sales", "3\n"),
    ([PRESTO], "SELECT shop, count(*) AS n FROM sales GROUP BY ROLLUP (shop) ORDER BY n, shop", "east,1\nnorth,2\nsouth,2\n,5\n"),
    ([PRESTO], "SELECT shop, id, grouping(shop, id) AS g, count(*) AS n FROM sales WHERE shop = 'east' GROUP BY GROUPING SETS ((shop), (id), ()) ORDER BY g", "east,,1,1\n,5,2,1\n,,3,1\n"),
    ([HIVE, SPARK], "SELECT shop, id, grouping__id AS g, count(*) AS n FROM sales WHERE shop = 'east' GROUP BY shop, id GROUPING SETS ((shop), (id), ()) ORDER BY g", "east,,1,1\n,5,2,1\n,,3,1\n"),
    ([SPARK], "SELECT shop, grouping_id() AS g, count(*) AS n FROM sales GROUP BY shop WITH ROLLUP ORDER BY g, shop", "east,0,1\nnorth,0,2\nsouth,0,2\n,1,5\n"),
    ([HIVE, SPARK], "SELECT shop, count(*) AS n FROM sales GROUP BY shop WITH CUBE ORDER BY n, shop DESC", "east,1\nsouth,2\nnorth,2\n,5\n"),
    ([HIVE, SPARK], "SELECT shop, id FROM sales DISTRIBUTE BY shop SORT BY id DESC", "east,5\nsouth,4\nsouth,3\nnorth,2\nnorth,1\n"),
    ([HIVE, SPARK], "SELECT /*+ MAPJOIN(b) */ a.id FROM sales a LEFT SEMI JOIN nested b ON a.id = b.id ORDER BY a.id", "1\n2\n3\n"),
    ([SPARK], "SELECT a.id FROM sales a LEFT ANTI JOIN nested b ON a.id = b.id ORDER BY a.id", "4\n5\n"),
    ([HIVE], "FROM sales SELECT id WHERE id = 1", "1\n"),
    ([HIVE, SPARK], "SELECT scores['x'] AS x FROM (SELECT map('x', 1) AS scores) q", "1\n"),
    ([SPARK], "SELECT id FROM sales WHERE shop LIKE 's%' AND note RLIKE '^[xy]$' ORDER BY id", "3\n4\n"),
    ([SPARK], "SELECT * FROM VALUES (1, 'a') AS t(n, s)", "1,a\n"),
    ([SPARK], "SELECT id FROM sales WHERE amount BETWEEN 5 AND 7 ORDER BY id", "3\n4\n"),
    ([PRESTO], "SELECT id FROM sales WHERE sold_at >= timestamp '2024-02-01 00:00:00' ORDER BY id", "4\n5\n"),
    ([HIVE], "SELECT id FROM sales WHERE day = '2024-02-29'", "4\n"),
    ([SPARK, HIVE], "SELECT id FROM default.sales WHERE id = 1; SELECT id FROM other_db.sales WHERE id = 2", "2\n"),
    ([PRESTO], "SELECT id FROM hive.default.sales WHERE id = 1", "1\n"),
]  # fmt: skip


def _cases():
    cases = []
    for dialects, text, expected in QUERIES:
        for dialect in dialects:
            body = expected[dialect] if isinstance(expected, dict) else expected
            cases.append(pytest.param(dialect, text, body, id=f"{dialect} {text}"))
    return cases


@pytest.mark.parametrize(("dialect", "text", "body"), _cases())
async def test_a_query_gives_the_rows_that_its_dialect_says(run, dialect, text, body):
    result = await run(dialect, text)
    assert result.state is WorkState.SUCCEEDED, result.message
    assert result.text.partition("\n")[2] == body
    assert result.row_count == body.count("\n")


LABELS = [
    (ALL, "SELECT id AS MyKey, shop FROM sales", ["MyKey", "shop"]),
    (ALL, "SELECT Id, SHOP FROM sales", ["Id", "SHOP"]),
    (ALL, "SELECT s.id FROM sales s", ["id"]),
    (ALL, "SELECT id AS a, shop AS a FROM sales", ["a", "a"]),
    (ALL, "SELECT * FROM sales", ["id", "shop", "amount", "day", "sold_at", "note"]),
    (ALL, "SELECT 1 AS x UNION ALL SELECT 2 AS y", ["x"]),
    ([HIVE], "SELECT shop, count(*) FROM sales GROUP BY shop", ["shop", "_c1"]),
    ([PRESTO], "SELECT shop, count(*) FROM sales GROUP BY shop", ["shop", "_col1"]),
    ([SPARK], "SELECT count(1), max(amount) FROM sales", ["count(1)", "max(amount)"]),
    ([MYSQL], "SELECT COUNT(*), Max( amount )+1 FROM sales", ["COUNT(*)", "Max( amount )+1"]),
    (ALL, "WITH w AS (SELECT id AS K FROM sales) SELECT K FROM w", ["K"]),
]


@pytest.mark.parametrize(
    ("dialect", "text", "labels"),
    [
        pytest.param(dialect, text, labels, id=f"{dialect} {text}")
        for dialects, text, labels in LABELS
        for dialect in dialects
    ],
)
async def test_labels_are_the_querys_own(run, dialect, text, labels):
    result = await run(dialect, text)
    assert result.state is WorkState.SUCCEEDED, result.message
    assert result.labels == labels
    assert result.text.partition("\n")[0] == ",".join(labels)


REFUSALS = [
    (HIVE, "SELEC 1", "SYNTAX", "line 1"),
    (HIVE, "SELECT id\nFROM sales\nWHERE (id = 1", "SYNTAX", "line 3, column 13"),
    (MYSQL, "SELECT 'open", "SYNTAX", ""),
    (MYSQL, "", "SYNTAX", "no statement"),
    (MYSQL, " -- nothing\n", "SYNTAX", "no statement"),
    (HIVE, "SELECT * FROM sale", "TABLE_NOT_FOUND", "There is no table sale at line 1, column 15. Did you mean sales?"),
    (HIVE, "SELECT id,\n  amuont FROM sales", "COLUMN_NOT_FOUND", "There is no column amuont at line 2, column 3. Did you mean amount?"),
    (HIVE, "SELECT s.nothing FROM sales s", "COLUMN_NOT_FOUND", "nothing at line 1"),
    (PRESTO, "SELECT id FROM sales WHERE\n shoop = 'x'", "COLUMN_NOT_FOUND", "shoop at line 2, column 2. Did you mean shop?"),
    (PRESTO, "SELECT x.id FROM sales s", "TABLE_NOT_FOUND", "no table x"),
    (HIVE, "SELECT\n frobnicate(id) FROM sales", "UNSUPPORTED", "The function FROBNICATE at line 2, column 2"),
    (HIVE, "SELECT date_format(day, 'yyyy-QQ') FROM sales", "UNSUPPORTED", "date pattern letter Q"),
    (MYSQL, "SELECT DATE_FORMAT(day, '%D') FROM sales", "UNSUPPORTED", "date pattern %D"),
    (MYSQL, "SELECT @a", "UNSUPPORTED", "variable"),
    (PRESTO, "SELECT 1 / 0", "DATA_ERROR", "zero"),
    (PRESTO, "SELECT cast('x' AS bigint)", "DATA_ERROR", "x"),
    (PRESTO, "SELECT sum(shop) FROM sales", "INVALID_QUERY", "sum"),
    (MYSQL, "GRANT ALL ON x TO y", "UNSUPPORTED", "GRANT"),
    (SPARK, "MERGE INTO sales USING nested ON 1 = 1 WHEN MATCHED THEN DELETE", "UNSUPPORTED", "MERGE INTO sales"),
    (SPARK, "SELECT * FROM sales VERSION AS OF 3", "UNSUPPORTED", "Time travel"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "code", "said"), REFUSALS, ids=lambda value: str(value)[:60])
async def test_what_cannot_run_is_named_with_its_place(run, dialect, text, code, said):
    result = await run(dialect, text)
    assert (result.state, result.code) == (WorkState.FAILED, code), result
    assert said in result.message
    assert "Traceback" not in result.message
    assert "phantom_" not in result.message.lower()

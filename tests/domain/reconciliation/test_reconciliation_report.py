"""What people get to see: the table of all differences, the summary, the stored document."""

import io
import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import Records, Side
from app.domain.reconciliation.result import ReconciliationResult
from app.domain.reconciliation.summary import summary
from tests.domain.reconciliation.reconciliation_oracle import pairs_of, run, side_of

LEFT = 'id,note,n\n1,"a, ""b""",1\n2,,5\n3,"",7\n4,same,0\n'
RIGHT = 'ID,Note,n\n1,"a, ""b""",2.5\n2,"",6\n9,"two\nlines",7\n4,same,0\n'
MAPPING = (
    ColumnMapping(left="note", right="Note"),
    ColumnMapping(left="id", right="ID", key=True),
    ColumnMapping(left="n", right="n"),
)


def differences_of(left: Side, right: Side, mapping: tuple[ColumnMapping, ...], folder: Path) -> bytes:
    written = io.BytesIO()
    table = DifferencesTable(mapping=mapping, write=written.write)
    compare(left, right, mapping, ReconciliationOptions(), thresholds=Thresholds(), spill_dir=folder, differences=table)
    table.finish()
    return written.getvalue()


def test_the_differences_table_has_keys_first_and_the_sides_beside_each_other(tmp_path: Path) -> None:
    content = differences_of(side_of(LEFT), side_of(RIGHT), MAPPING, tmp_path)
    lines = content.decode().splitlines()
    assert lines[0] == "kind,rows,left_count,right_count,changed_columns,key.id,left.note,right.Note,left.n,right.n"
    assert sorted(lines[1:]) == sorted(
        [
            'CHANGED,1,1,1,n,1,"a, ""b""","a, ""b""",1,2.5',
            'CHANGED,1,1,1,note;n,2,,"",5,6',
            'LEFT_ONLY,1,1,0,,3,"",,7,',
            'RIGHT_ONLY,1,0,1,,9,,"two',
            'lines",,7',
        ]
    )


def test_without_keys_the_differences_table_says_how_often_a_row_stands(tmp_path: Path) -> None:
    content = differences_of(side_of("a\n1\n1\n1\n"), side_of("a\n1\n"), pairs_of("a"), tmp_path)
    assert content == b"kind,rows,left_count,right_count,changed_columns,left.a,right.a\nLEFT_ONLY,2,3,1,,1,\n"


def test_the_differences_table_keeps_blanks_and_emptiness_visible(tmp_path: Path) -> None:
    content = differences_of(side_of('a,b,c\n x,"",\n'), side_of("a,b,c\n"), pairs_of("a", "b", "c"), tmp_path)
    assert content.endswith(b'\nLEFT_ONLY,1,1,0,," x",,"",,,\n')


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.text(alphabet='a",\n\r \t;', max_size=4)), min_size=1, max_size=4))
def test_the_differences_table_is_read_back_as_it_was_written(tmp_path: Path, values: list[str | None]) -> None:
    written = "v\n" + "".join(("" if v is None else '"' + v.replace('"', '""') + '"') + "\n" for v in values)
    content = differences_of(side_of(written), side_of("v\n"), pairs_of("v"), tmp_path)
    with Records(side_of(content), lambda _: None) as records:
        assert {record[5] for record in records} == set(values)


def test_a_result_survives_its_json_document(tmp_path: Path) -> None:
    for method in ReconciliationMethod:
        options = ReconciliationOptions(method=method)
        result, _ = run(side_of(LEFT), side_of(RIGHT), MAPPING, options, spill_dir=tmp_path)
        document = json.loads(json.dumps(result.to_document(), allow_nan=False))
        assert ReconciliationResult.from_document(document) == result


def test_a_summary_tells_what_differs(tmp_path: Path) -> None:
    result, _ = run(side_of(LEFT), side_of(RIGHT), MAPPING, ReconciliationOptions(), spill_dir=tmp_path)
    assert (
        summary(result)
        == """\
The two sides do not match: 4 of 5 rows differ (80.00 %).

  left rows          4
  right rows         4
  common             1
  changed            2
  only on the left   1
  only on the right  1

Changed columns
  column       differs in rows  by at most
  n                          2         1.5
  note / Note                1

Changed
  id  note        n
  1   a, "b"      1 -> 2.5
  2   NULL -> ""  5 -> 6

Only on the left
  id  note  n
  3   ""    7

Only on the right
  ID  Note        n
  9   two\\nlines  7"""
    )


def test_a_summary_of_equal_sides_is_short(tmp_path: Path) -> None:
    result, _ = run(side_of("a\n1\n"), side_of("a\n1.0\n"), pairs_of("a"), ReconciliationOptions(), spill_dir=tmp_path)
    assert summary(result).startswith("The two sides match: 1 row agrees.")


def test_a_summary_never_rounds_a_difference_away(tmp_path: Path) -> None:
    left = side_of("a\n" + "1\n" * 30_000 + "2\n")
    options = ReconciliationOptions(pass_when=PassRule(max_differing_rows=1))
    result, _ = run(left, side_of("a\n" + "1\n" * 30_000), pairs_of("a"), options, spill_dir=tmp_path)
    assert summary(result).startswith(
        "The two sides match within what the pass rule allows: 1 of 30,001 rows differ (0.01 %)."
    )


def test_a_summary_neutralises_what_would_steer_a_terminal(tmp_path: Path) -> None:
    left = side_of("a,b\n\x1b[31mred,x\u202ey\n" + "l" * 100 + ",z\n")
    result, _ = run(left, side_of("a,b\n"), pairs_of("a", "b"), ReconciliationOptions(), spill_dir=tmp_path)
    text = summary(result)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred" in text
    assert max(len(line) for line in text.splitlines()) < 120


def test_a_summary_shows_long_texts_where_they_differ(tmp_path: Path) -> None:
    left, right = side_of(f"id,b\n1,{'x' * 500}left\n"), side_of(f"id,b\n1,{'x' * 500}right\n")
    result, _ = run(left, right, pairs_of("id", "b", keys=("id",)), ReconciliationOptions(), spill_dir=tmp_path)
    assert f"…{'x' * 10}left -> …{'x' * 10}right" in summary(result)


def test_a_summary_shows_some_of_many_rows(tmp_path: Path) -> None:
    left = side_of("a\n" + "".join(f"{n}\n" for n in range(50)))
    result, _ = run(left, side_of("a\n"), pairs_of("a"), ReconciliationOptions(), spill_dir=tmp_path)
    assert "Only on the left (3 of 50)\n  a\n  0\n  1\n  2" in summary(result, samples=3)

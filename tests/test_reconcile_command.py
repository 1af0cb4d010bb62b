"""`data-phantom reconcile` as it is typed: what it says, what it writes, and its exit status."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli

LEFT = 'id,name,amount,note\n1,Anna,10.50,\n2,Ben,20,""\n3,Cäsar,7,"a, b"\n'
RIGHT = "ID|name|amount|note\n1|Anna|10.5|\n2|Ben|21|\n9|Dora|1|x\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text(LEFT)
    Path("r.csv").write_text(RIGHT)
    return tmp_path


def reconcile(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["reconcile", *arguments])


def document(*arguments: str) -> dict[str, object]:
    result = reconcile(*arguments, "--json")
    assert result.exit_code in {0, 1}, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.usefixtures("folder")
def test_equal_is_0_different_is_1_and_a_mistake_is_2() -> None:
    assert reconcile("l.csv", "l.csv").exit_code == 0
    assert reconcile("l.csv", "r.csv").exit_code == 1
    assert reconcile("l.csv", "nope.csv").exit_code == 2
    assert reconcile("l.csv").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_the_summary_names_verdict_counts_and_changed_cells() -> None:
    result = reconcile("l.csv", "r.csv", "--key", "id")
    assert result.stdout.startswith("l.csv (64 bytes, comma) ↔ r.csv (54 bytes, pipe)")
    assert "The two sides do not match: 3 of 4 rows differ (75.00 %)." in result.stdout
    assert "20 -> 21" in result.stdout
    assert '"" -> NULL' in result.stdout
    assert "\x1b" not in result.output
    assert result.stderr == ""


@pytest.mark.usefixtures("folder")
def test_no_name_steers_the_terminal() -> None:
    Path("l.csv").write_text("id,\x1b[31mred\n1,2\n")
    Path("\x1b[2J.csv").write_text("id,\x1b[32mgreen\n1,2\n")
    for arguments in (("l.csv", "\x1b[2J.csv"), ("l.csv", "\x1b[2J.csv", "--key", "\x1b[31mred"), ("l.csv", "\x1b[3J")):
        assert "\x1b" not in reconcile(*arguments).output


@pytest.mark.usefixtures("folder")
def test_a_packed_side_is_said_to_be_a_copy() -> None:
    Path("l.csv.gz").write_bytes(gzip.compress(LEFT.encode()))
    assert reconcile("l.csv.gz", "l.csv").stdout.startswith(
        "l.csv.gz (64 bytes as CSV, comma) ↔ l.csv (64 bytes, comma)"
    )


@pytest.mark.usefixtures("folder")
def test_a_key_and_pairs_are_proposed_where_something_differs() -> None:
    Path("l.csv").write_text("order id,total\n" + "".join(f"A{n},{n * 7 % 1000}.5\n" for n in range(300)))
    Path("r.csv").write_text("order id,totals\n" + "".join(f"A{n + 1},{n * 7 % 1000}.5\n" for n in range(300)))
    result = reconcile("l.csv", "r.csv")
    assert "Hint: order id looks like a key; by --key 'order id' changed rows" in result.stdout
    assert "Hint: total and totals seem to belong together; by --map total=totals they" in result.stdout
    assert document("l.csv", "r.csv", "-k", "order id", "-m", "total=totals")["hints"] == []
    assert document("l.csv", "l.csv")["hints"] == []


@pytest.mark.usefixtures("folder")
def test_options_reach_the_comparison() -> None:
    assert document("l.csv", "r.csv", "-k", "id")["changed_row_count"] == 1
    assert document("l.csv", "r.csv", "-k", "id", "-i", "note", "--tolerance", "1")["common_row_count"] == 2
    assert document("l.csv", "r.csv", "-k", "id", "--empty-is-null", "--relative-tolerance", "0.1")["matched"] is False
    assert document("l.csv", "r.csv", "-m", "id=amount", "-i", "name,note")["mapping"] == [
        {"left": "id", "right": "amount", "key": False}
    ]
    Path("s.csv").write_text(LEFT.replace("Anna", " ANNA "))
    assert reconcile("l.csv", "s.csv", "--trim", "--ignore-case").exit_code == 0
    for method in ("exact", "bloom"):
        assert document("l.csv", "r.csv", "--method", method)["method"] == method.upper()
    unverified = document("l.csv", "r.csv", "--no-verify")
    assert (unverified["exact"], unverified["method"]) == (False, "BLOOM")
    assert reconcile("l.csv", "r.csv", "--no-verify", "--method", "exact").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_the_pass_rule_decides_the_status() -> None:
    assert reconcile("l.csv", "r.csv", "-k", "id", "--max-differing-rows", "3").exit_code == 0
    assert reconcile("l.csv", "r.csv", "-k", "id", "--max-differing-rows", "2").exit_code == 1
    assert reconcile("l.csv", "r.csv", "-k", "id", "--max-differing-percent", "75").exit_code == 0
    assert reconcile("l.csv", "r.csv", "-k", "id", "--max-differing-percent", "101").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_delimiters_are_told_by_the_files_or_typed() -> None:
    for name, mark in (("t", "\t"), ("s", ";"), ("p", "|"), ("a", "\x01")):
        Path(f"{name}.csv").write_text(f"id{mark}n\n1{mark}2,5\n")
        told = document(f"{name}.csv", f"{name}.csv")["left"]
        assert isinstance(told, dict)
        assert (told["delimiter"], told["columns"]) == (mark, ["id", "n"])
    assert reconcile("t.csv", "p.csv", "--left-delimiter", "tab", "--right-delimiter", "|").exit_code == 0
    assert reconcile("t.csv", "t.csv", "--delimiter", "\\t").exit_code == 0
    result = reconcile("t.csv", "t.csv", "--delimiter", "ab")
    assert result.exit_code == 2
    assert "'ab' is no delimiter" in result.stderr


@pytest.mark.usefixtures("folder")
def test_the_document_is_one_object_with_all_that_is_known() -> None:
    result = document("l.csv", "r.csv", "-k", "id", "--samples", "1")
    assert {"matched", "mapping", "columns", "samples", "warnings", "left", "right", "options", "version"} <= {*result}
    assert result["left"] == {
        "location": "l.csv",
        "size_bytes": 64,
        "delimiter": ",",
        "copied": False,
        "columns": ["id", "name", "amount", "note"],
    }
    samples = result["samples"]
    assert isinstance(samples, dict)
    assert {len(rows) for rows in samples.values()} == {1}


def test_all_differing_rows_and_a_report_are_written(folder: Path) -> None:
    result = reconcile("l.csv", "r.csv", "-k", "id", "--differences", "d.csv", "--report", "r.html", "--quiet")
    assert (result.exit_code, result.output) == (1, "")
    assert len(Path("d.csv").read_text().splitlines()) == 4
    assert "The two sides differ" in Path("r.html").read_text()
    assert {path.name for path in folder.iterdir()} == {"l.csv", "r.csv", "d.csv", "r.html"}


def test_what_fails_is_one_sentence_and_leaves_nothing(folder: Path) -> None:
    Path("latin.csv").write_bytes("id,name\n1,Cäsar\n".encode("latin-1"))
    Path("ragged.csv").write_text("id,name\n1,2,3\n")
    Path("empty.csv").touch()
    before = {path.name for path in folder.iterdir()}
    for arguments, words in (
        (("l.csv", "nope.csv"), "nope.csv"),
        (("l.csv", "latin.csv"), "latin.csv, line 2: byte 0xe4 is not UTF-8"),
        (("l.csv", "ragged.csv", "-m", "id=id"), "ragged.csv, line 2: 3 cells where the header has 2"),
        (("l.csv", "empty.csv"), "empty.csv"),
        (("l.csv", "r.csv", "--key", "nope"), "no column 'nope'"),
        (("l.csv", "r.csv", "--spill-dir", "nope"), "--spill-dir nope"),
        (("l.csv", "r.csv", "--report", "l.csv"), "is l.csv itself"),
        (("l.csv", "r.csv", "--relative-tolerance", "1.5"), "write 1 % as 0.01"),
    ):
        result = reconcile(*arguments, "--differences", "d.csv")
        assert result.exit_code == 2, arguments
        assert result.stdout == ""
        assert words in result.stderr
        assert result.stderr.startswith("Error: ")
        assert "Traceback" not in result.stderr
        assert {path.name for path in folder.iterdir()} == before


def test_the_command_stands_beside_those_of_the_platform() -> None:
    listed = CliRunner().invoke(cli, ["--help"]).stdout
    assert all(word in listed for word in ("start", "worker", "udf", "reconcile"))
    assert "--key" in reconcile("--help").stdout

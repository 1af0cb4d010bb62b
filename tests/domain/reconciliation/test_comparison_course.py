"""While a comparison runs: progress, cancelling, what it leaves on disk, and the answer without verification."""

import errno
import time
from contextlib import suppress
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from rbloom import Bloom

from app.domain.errors import UnavailableError
from app.domain.reconciliation import spill as spill_module
from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.estimate import filled_rate
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.progress import ComparisonCancelledError
from app.domain.reconciliation.records import Side
from app.domain.reconciliation.result import DifferenceKind
from app.domain.reconciliation.spill import SpillFile
from tests.domain.reconciliation.reconciliation_oracle import pairs_of, run, side_of

HELD = Thresholds(partition_bytes=1 << 17, ordered_rows=0)
IN_STEP = Thresholds(block_bytes=1 << 14)
READ_AGAIN = replace(HELD, held_bytes=0)
GATHERED = replace(READ_AGAIN, gathered_share=0.0, sample_bytes=1)

every_way = pytest.mark.parametrize(
    ("options", "thresholds"),
    [
        (ReconciliationOptions(method=ReconciliationMethod.EXACT), HELD),
        (ReconciliationOptions(method=ReconciliationMethod.BLOOM), HELD),
        (ReconciliationOptions(method=ReconciliationMethod.BLOOM), READ_AGAIN),
        (ReconciliationOptions(method=ReconciliationMethod.BLOOM), GATHERED),
        (ReconciliationOptions(method=ReconciliationMethod.BLOOM), IN_STEP),
        (ReconciliationOptions(method=ReconciliationMethod.BLOOM, verify=False), READ_AGAIN),
    ],
    ids=["exact", "bloom, held", "bloom", "bloom, gathered", "bloom, in step", "unverified"],
)


def table(rows: int, *, seed: int, change_every: int = 0) -> str:
    """In order for the seed 0; else shuffled, for each seed the same each time."""
    numbers = sorted(range(rows), key=lambda n: n * 2_654_435_761 * seed % 2**32)
    lines = (f"{n},name {n},{n * 3 + (1 if change_every and n % change_every == 0 else 0)}.50" for n in numbers)
    return "id,name,amount\n" + "\n".join(lines) + "\n"


@cache
def tables(*, ordered: bool) -> tuple[Side, Side]:
    seeds = (0, 0) if ordered else (1, 3)
    return side_of(table(30_000, seed=seeds[0])), side_of(table(30_000, seed=seeds[1], change_every=500), name="Right")


@pytest.fixture
def sides(request: pytest.FixtureRequest) -> tuple[Side, Side]:
    way = getattr(request.node, "callspec", None)
    return tables(ordered=way is not None and way.params.get("thresholds") is IN_STEP)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small tables are read in many pieces, as large ones are."""
    monkeypatch.setattr("app.domain.reconciliation.records.CHUNK_BYTES", 1 << 14)


KEYED = pairs_of("id", "name", "amount", keys=("id",))


@every_way
def test_progress_rises_to_one(
    options: ReconciliationOptions, thresholds: Thresholds, sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.domain.reconciliation.progress.REPORT_EVERY_SECONDS", 0.0)
    shares: list[float] = []
    compare(
        *sides,
        KEYED,
        options,
        thresholds=thresholds,
        spill_dir=tmp_path,
        progress=shares.append,
    )
    assert shares == sorted(set(shares))
    assert shares[-1] == 1.0
    assert all(0 < share <= 1 for share in shares)
    assert len(shares) > 8
    assert max(b - a for a, b in zip([0.0, *shares], shares, strict=False)) < 0.2


@every_way
def test_progress_keeps_its_end_for_the_end_where_a_side_is_larger_than_announced(
    options: ReconciliationOptions, thresholds: Thresholds, sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.domain.reconciliation.progress.REPORT_EVERY_SECONDS", 0.0)
    shares: list[float] = []
    compressed = [Side(open=side.open, size_bytes=1000, delimiter=",", name=side.name) for side in sides]
    compare(*compressed, KEYED, options, thresholds=thresholds, spill_dir=tmp_path, progress=shares.append)
    assert shares[-2:] == [0.999, 1.0]


@every_way
@pytest.mark.parametrize("after_calls", [1, 2, 10, 20, 30])
def test_a_cancel_is_seen_at_every_stage_and_leaves_nothing(
    options: ReconciliationOptions, thresholds: Thresholds, sides, tmp_path: Path, after_calls: int
) -> None:
    calls = 0
    asked_at = 0.0

    def cancelled() -> bool:
        nonlocal calls, asked_at
        calls += 1
        if calls == after_calls:
            asked_at = time.monotonic()
        return calls > after_calls

    shares: list[float] = []
    with pytest.raises(ComparisonCancelledError):
        compare(
            *sides,
            KEYED,
            options,
            thresholds=thresholds,
            spill_dir=tmp_path,
            cancelled=cancelled,
            progress=shares.append,
        )
    assert time.monotonic() - asked_at < 0.5
    assert 1.0 not in shares
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_is_seen_while_one_large_group_is_paired(tmp_path: Path) -> None:
    left = side_of("k,v\n" + "".join(f"1,{n}\n" for n in range(3000)))
    right = side_of("k,v\n" + "".join(f"1,{n}.5\n" for n in range(3000)))
    calls = 0

    def cancelled() -> bool:
        nonlocal calls
        calls += 1
        return calls > 50  # far more than there are chunks to read

    with pytest.raises(ComparisonCancelledError):
        compare(
            left,
            right,
            pairs_of("k", "v", keys=("k",)),
            ReconciliationOptions(absolute_tolerance=0.1),
            thresholds=Thresholds(),
            spill_dir=tmp_path,
            cancelled=cancelled,
        )


def open_files() -> list[Path]:
    """What this process has open; other threads open and close files meanwhile."""
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            targets.append(link.readlink())
    return targets


def test_spilled_rows_lie_in_the_given_folder_under_no_name(
    sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name the file is gone with the process, also when that is killed."""
    folder = tmp_path / "not" / "there" / "yet"
    seen: list[tuple[list[Path], bool]] = []
    append = SpillFile.append

    def watched(spill: SpillFile, array: np.ndarray) -> int:
        place = append(spill, array)
        targets = open_files()
        seen.append((list(folder.iterdir()), any(str(target).startswith(str(folder)) for target in targets)))
        return place

    monkeypatch.setattr(SpillFile, "append", watched)
    options = ReconciliationOptions(method=ReconciliationMethod.BLOOM)
    run(*sides, KEYED, options, spill_dir=folder, thresholds=READ_AGAIN)
    assert len(seen) > 3
    assert all(entry == ([], True) for entry in seen)


def test_a_full_disk_is_said_in_words(sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill_module.os, "pwrite", full)
    options = ReconciliationOptions(method=ReconciliationMethod.BLOOM)
    with pytest.raises(UnavailableError, match=r"No space left on device.*free space"):
        run(*sides, KEYED, options, spill_dir=tmp_path, thresholds=READ_AGAIN)


def test_an_unverified_answer_adds_up_and_says_its_bound(tmp_path: Path) -> None:
    left = side_of("k,v\n" + "".join(f"{n},{n}\n" for n in range(20_000)))
    right = side_of("k,v\n" + "".join(f"{n},{n + (n % 10 == 0)}\n" for n in range(10_000, 30_000)))
    options = ReconciliationOptions(method=ReconciliationMethod.BLOOM, verify=False)
    thresholds = Thresholds(false_positive_rate=0.05)
    mapping = pairs_of("k", "v", keys=("k",))
    result, found = run(left, right, mapping, options, spill_dir=tmp_path, thresholds=thresholds)
    assert not result.exact
    assert not result.matched
    assert result.false_positive_rate == pytest.approx(0.05, rel=0.3)
    paired = result.common_row_count + result.changed_row_count
    assert paired + result.left_only_row_count == 20_000 == paired + result.right_only_row_count
    assert 9000 <= result.common_row_count < 9000 + 11_000 * 0.07
    assert 10_000 <= paired < 10_000 + 10_000 * 0.07
    assert result.columns == ()
    assert "Not verified" in result.warnings[0]
    # What is listed is certain, and close to all there is.
    certain = {row.key for row in found if row.kind is DifferenceKind.LEFT_ONLY}
    assert certain <= {(str(n),) for n in range(10_000)}
    assert len(certain) > 9300


@pytest.mark.parametrize("designed", [0.5, 0.3, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("overfill", [0.5, 1, 3])
def test_the_bound_is_that_of_the_filter_as_filled(designed: float, overfill: float) -> None:
    bloom = Bloom(20_000, designed)
    rows = int(20_000 * overfill)
    numbers = [int.from_bytes(sha256(n.to_bytes(8)).digest()[:7]) for n in range(rows + 60_000)]  # the same each time
    bloom.update(numbers[:rows])
    observed = sum(n in bloom for n in numbers[rows:]) / 60_000
    assert filled_rate(bloom, designed) == pytest.approx(observed, rel=0.15, abs=0.0005)

"""Pairs of CSV tables whose differences are known: seeded, of any size, made once and kept in a cache folder.

Eight columns: a unique id, texts, numbers, a date, and a note that is NULL in every tenth row and has a comma, hence
quotes, in every twentieth. NumPy chooses which rows differ and how, DuckDB writes them.

Of the rows that differ a tenth are missing on the right, and as many are new there; the rest have changed in one column
or two. The left side's ids are even, ascending; a new row's is odd, next to where it stands, so that both sides of a
pair «in order» are sorted.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
from numpy.typing import NDArray

KEY = "id"
MISSING = 10  # of the differing rows every tenth is missing on the right
REPEATS = 100  # of each distinct row, on the average, in a table of duplicates
MEMORY = "2GB"  # DuckDB's, while it writes

Values = NDArray[np.int64]
Masks = NDArray[np.uint8]

# How a row's value `w` and the bits of its changes `m` make its cells. Integers alone: any version gives the same.
CELLS = {
    KEY: "w",
    "customer": "'customer-' || lpad(CAST(w * 7919 % 99991 + (m & 1) AS VARCHAR), 6, '0')",
    "status": "['new', 'paid', 'shipped', 'returned'][((w >> 1) + (m >> 1 & 1)) % 4 + 1]",
    "amount": "CAST((w * 104729 % 1000003 + (m >> 2 & 1) * 100) / 100 AS DECIMAL(12, 2))",
    "quantity": "w % 50 + (m >> 3 & 1)",
    "ratio": "CAST((w * 15485863 % 1000000 + (m >> 4 & 1) * 500000) / 1000000 AS DECIMAL(9, 6))",
    "sold_on": "DATE '2020-01-01' + CAST(w % 2000 + (m >> 5 & 1) AS INTEGER)",
    "note": "CASE WHEN (w >> 1) % 10 = 0 THEN IF(m >> 6 & 1, 'no longer NULL', NULL) "
    "WHEN (w >> 1) % 20 = 1 THEN 'note, no. ' || w * 48271 % 2147483647 || IF(m >> 6 & 1, ' (changed)', '') "
    "ELSE 'note no. ' || w * 48271 % 2147483647 || IF(m >> 6 & 1, ' (changed)', '') END",
}
COLUMNS = tuple(name for name in CELLS if name != KEY)


class Order(StrEnum):
    ORDERED = "in order"
    SHUFFLED = "shuffled"


class Form(StrEnum):
    """How the right side is written."""

    SAME = "same"
    OTHER = "tabs, other order of columns, 1.0 for 1"
    COPY = "a copy of the left file"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """What is asked for: `share` of the rows differ."""

    rows: int
    share: float = 0.0
    order: Order = Order.ORDERED
    form: Form = Form.SAME
    duplicates: bool = False
    seed: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The rows of a comparison; `columns` says how many of the changed ones differ in a column."""

    common: int
    changed: int
    left_only: int
    right_only: int
    columns: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    path: Path
    delimiter: str
    columns: tuple[str, ...]  # in the file's order


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """Both files, and the truth by the key (None where rows are no key's) and by whole rows."""

    left: Table
    right: Table
    by_key: Counts | None
    by_row: Counts

    @classmethod
    def from_document(cls, document: Mapping[str, Any], folder: Path) -> Self:
        left, right = (
            Table(path=folder / side["path"], delimiter=side["delimiter"], columns=tuple(side["columns"]))
            for side in (document["left"], document["right"])
        )
        by_key = Counts(**document["by_key"]) if document["by_key"] else None
        return cls(left=left, right=right, by_key=by_key, by_row=Counts(**document["by_row"]))


def tables(pair: Pair, cache: Path) -> Tables:
    """The files of a pair, made where they are not there yet."""
    folder = cache / f"tables-{_recipe()}"
    for outdated in cache.glob("tables-*"):
        if outdated != folder:
            shutil.rmtree(outdated, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    facts = folder / f"{_name(asdict(pair))}.json"
    if not facts.exists():
        made = _make(pair, folder)
        document = asdict(made) | {
            side: asdict(table) | {"path": table.path.name}
            for side, table in (("left", made.left), ("right", made.right))
        }
        draft = facts.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(document))
        draft.rename(facts)  # last of all: what it speaks of is there
    return Tables.from_document(json.loads(facts.read_text()), folder)


def _make(pair: Pair, folder: Path) -> Tables:
    random = np.random.default_rng([pair.seed, pair.rows, round(pair.share * 1_000_000), pair.duplicates])
    by_key = None
    if pair.duplicates:
        left, right, by_row = _repeated(pair, random)
        masks = np.zeros(len(right), np.uint8)
    else:
        left = np.arange(pair.rows, dtype=np.int64) * 2
        right, masks, by_key = _differing(pair, random)
        changed = by_key.changed
        by_row = Counts(
            common=by_key.common,
            changed=0,
            left_only=by_key.left_only + changed,
            right_only=by_key.right_only + changed,
        )
    if pair.order is Order.SHUFFLED:
        places = random.permutation(len(right))
        right, masks = right[places], masks[places]
    cells = dict(CELLS)
    delimiter = ","
    if pair.form is Form.OTHER:
        delimiter = "\t"
        cells = {name: cells[name] for name in (*reversed(COLUMNS), KEY)}
        cells["quantity"] = f"({cells['quantity']}) || '.0'"
    # All pairs of this size have the same left side, unless it has duplicates.
    one = folder / f"left-{_name(asdict(pair) if pair.duplicates else pair.rows)}.csv"
    other = folder / f"right-{_name(asdict(pair))}.csv"
    if not one.exists():
        _write(one, CELLS, ",", left, np.zeros(len(left), np.uint8))
    if pair.form is Form.COPY:
        shutil.copyfile(one, other)
    else:
        _write(other, cells, delimiter, right, masks)
    return Tables(
        left=Table(path=one, delimiter=",", columns=tuple(CELLS)),
        right=Table(path=other, delimiter=delimiter, columns=tuple(cells)),
        by_key=by_key,
        by_row=by_row,
    )


def _differing(pair: Pair, random: np.random.Generator) -> tuple[Values, Masks, Counts]:
    """The right side: values and changes, ascending by the value."""
    differing = random.permutation(pair.rows)[: round(pair.rows * pair.share)]
    gone, changed = np.split(differing, [len(differing) // MISSING])
    masks = np.zeros(pair.rows, np.uint8)
    first, second = random.integers(0, len(COLUMNS), (2, len(changed)))
    second = np.where(random.random(len(changed)) < 1 / 4, second, first)
    masks[changed] = (1 << first) | (1 << second)
    values = np.arange(pair.rows, dtype=np.int64) * 2
    new = np.sort(random.permutation(pair.rows)[: len(gone)])
    kept = np.ones(pair.rows, np.bool_)
    kept[gone] = False
    places = np.searchsorted(values[kept], new * 2 + 1)
    counts = Counts(
        common=pair.rows - len(differing),
        changed=len(changed),
        left_only=len(gone),
        right_only=len(new),
        columns={name: int(np.count_nonzero(masks >> bit & 1)) for bit, name in enumerate(COLUMNS)},
    )
    return np.insert(values[kept], places, new * 2 + 1), np.insert(masks[kept], places, 0), counts


def _repeated(pair: Pair, random: np.random.Generator) -> tuple[Values, Values, Counts]:
    """Few distinct rows, many times each; half of the differing ones stand too often on the right, half only there."""
    distinct = max(pair.rows // REPEATS, 1)
    left = random.integers(0, distinct, pair.rows)
    right = left.copy()
    differing = random.permutation(pair.rows)[: round(pair.rows * pair.share)]
    right[differing] = random.integers(0, distinct * 2, len(differing))
    both = np.minimum(np.bincount(left, minlength=distinct * 2), np.bincount(right, minlength=distinct * 2)).sum()
    only = pair.rows - int(both)
    return left, right, Counts(common=int(both), changed=0, left_only=only, right_only=only)


def _write(path: Path, cells: Mapping[str, str], delimiter: str, values: Values, masks: Masks) -> None:
    expressions = ", ".join(f"{expression} AS {name}" for name, expression in cells.items())
    draft = path.with_suffix(f".{os.getpid()}")
    with duckdb.connect(config={"memory_limit": MEMORY}) as connection:
        connection.register("drawn", {"w": values, "m": masks})
        connection.execute(f"COPY (SELECT {expressions} FROM drawn) TO '{draft}' (HEADER, DELIMITER '{delimiter}')")
    draft.rename(path)


def _recipe() -> str:
    return _name(Path(__file__).read_text())


def _name(facts: object) -> str:
    return sha256(json.dumps(facts).encode()).hexdigest()[:12]

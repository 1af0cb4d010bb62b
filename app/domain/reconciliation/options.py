"""What a user may ask of a comparison, checked when it is made."""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.domain.errors import InvalidError

# What a comparison takes, as measured: so much whatever it holds, and so many times what it holds of each side.
# A sample takes some more: of short rows, what is kept of each is longer than the row.
_UNHELD_BYTES, _TIMES_HELD, _TIMES_SAMPLED = 160 << 20, 5, 8


class ReconciliationMethod(StrEnum):
    EXACT = "EXACT"
    BLOOM = "BLOOM"


@dataclass(frozen=True, kw_only=True, slots=True)
class PassRule:
    """How much may differ for the outcome to count as matched.

    Each limit above zero must hold: with both given, both must. Zero leaves a limit unset; with neither set nothing may
    differ. Differing rows are changed + left-only + right-only, a changed pair counts once; the percentage is of
    common + changed + left-only + right-only.
    """

    max_differing_rows: int = 0
    max_differing_percent: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.max_differing_rows, bool) or not isinstance(self.max_differing_rows, int):
            raise InvalidError(
                "The number of rows that may differ must be a whole number.", path=("passWhen", "maxDifferingRows")
            )
        if self.max_differing_rows < 0:
            raise InvalidError(
                "The number of rows that may differ must be 0 or more.", path=("passWhen", "maxDifferingRows")
            )
        if not 0 <= self.max_differing_percent <= 100:  # noqa: PLR2004 - percent; NaN fails too
            raise InvalidError(
                "The percentage of rows that may differ must lie between 0 and 100.",
                path=("passWhen", "maxDifferingPercent"),
            )

    def holds(self, *, differing_rows: int, all_rows: int) -> bool:
        if differing_rows == 0:
            return True
        if not self.max_differing_rows and not self.max_differing_percent:
            return False
        if self.max_differing_rows and differing_rows > self.max_differing_rows:
            return False
        return not self.max_differing_percent or differing_rows * 100 <= self.max_differing_percent * all_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconciliationOptions:
    """Everything that changes what counts as equal, and how the answer is found.

    `method` None chooses by size. `verify=False` is for who names BLOOM and is content with an answer that has an error
    bound; it knows no tolerances, since a filter knows only what is the same.
    """

    absolute_tolerance: float = 0.0
    relative_tolerance: float = 0.0
    ignore_case: bool = False
    trim: bool = False
    empty_is_null: bool = False
    method: ReconciliationMethod | None = None
    verify: bool = True
    pass_when: PassRule = field(default_factory=PassRule)

    def __post_init__(self) -> None:
        if not math.isfinite(self.absolute_tolerance) or self.absolute_tolerance < 0:
            raise InvalidError("The absolute tolerance must be a number of 0 or more.", path=("absoluteTolerance",))
        if not 0 <= self.relative_tolerance < 1:
            raise InvalidError(
                "The relative tolerance must be 0 or more and below 1: write 1 % as 0.01.", path=("relativeTolerance",)
            )
        if not self.verify and self.method is not ReconciliationMethod.BLOOM:
            raise InvalidError(
                "Only the method BLOOM can leave the verification out: choose it, or ask for verification.",
                path=("verify",),
            )
        if not self.verify and (self.absolute_tolerance or self.relative_tolerance):
            raise InvalidError(
                "An answer without verification knows no tolerances: set them to 0, or ask for verification.",
                path=("verify",),
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """The platform's own settings: where the large path begins, and how its filters, partitions and blocks are cut.

    `estimated_rows` is the least that a filter is sized for; more rows than that make it larger, as they are counted.
    """

    exact_match_bytes: int = 1 << 20
    false_positive_rate: float = 0.01
    estimated_rows: int = 1
    partition_bytes: int = 4 << 20  # of each side's text; in memory that is some ten times as much
    held_bytes: int = 96 << 20  # of each side's text: what is larger is read again, for it is not held in memory
    sample_bytes: int = 8 << 20  # of each side's text, from which is told how to go on with what is not held
    gathered_share: float = 0.25  # of the keys on both sides, by a sample: where as many differ, no file is read twice
    residue_rows: int = 1 << 15  # of each side, about: so many of those that are left over are settled at once
    ordered_rows: int = 64  # of each side: are the first ones in order, both sides are walked along in step; 0: never
    block_bytes: int = 1 << 20  # the most that is read at once; a record that is longer makes it larger
    block_rows: int = 1 << 15  # the most that is hashed at once

    def __post_init__(self) -> None:
        if self.exact_match_bytes < 0:
            raise InvalidError("The threshold for exact matching must be 0 bytes or more.", path=("exactMatchBytes",))
        if not 0 < self.false_positive_rate <= 0.5:  # noqa: PLR2004 - above a half a filter has no hash functions left
            raise InvalidError(
                "The false positive rate must be above 0 and at most 0.5: write 1 % as 0.01.",
                path=("falsePositiveRate",),
            )
        if not 0 <= self.gathered_share <= 1:
            raise InvalidError("A share of keys must be from 0 to 1.", path=("gatheredShare",))
        for value, least, what, where in (
            (self.estimated_rows, 1, "The estimated number of rows", "estimatedRows"),
            (self.partition_bytes, 1, "The bytes of a partition", "partitionBytes"),
            (self.held_bytes, 0, "The bytes that are held of a side", "heldBytes"),
            (self.sample_bytes, 1, "The bytes of a sample", "sampleBytes"),
            (self.residue_rows, 1, "The rows that are settled at once", "residueRows"),
            (self.ordered_rows, 0, "The rows that tell an order", "orderedRows"),
            (self.block_bytes, 1, "The bytes of a block", "blockBytes"),
            (self.block_rows, 1, "The rows of a block", "blockRows"),
        ):
            if value < least:
                raise InvalidError(f"{what} must be {least} or more.", path=(where,))

    def within(self, memory_bytes: int) -> "Thresholds":
        """The same for a process that may take so much memory: it holds less of a side, and reads it again."""
        held_bytes = max(memory_bytes - _UNHELD_BYTES, 0) // _TIMES_HELD
        return replace(
            self,
            held_bytes=min(self.held_bytes, held_bytes),
            sample_bytes=max(min(self.sample_bytes, held_bytes // _TIMES_SAMPLED), 1),
        )

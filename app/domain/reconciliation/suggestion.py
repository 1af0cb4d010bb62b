"""Which columns of two tables probably belong together, and which of them name a row; the user confirms it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.reconciliation.confidence import Confidence
from app.domain.reconciliation.key_candidates import KeyCandidate, MappedColumn, find_keys
from app.domain.reconciliation.mapping import suggest_mapping
from app.domain.reconciliation.names import PART, likeness
from app.domain.reconciliation.samples import Kind, SampledColumn, TableSample, sampled_columns

_MOST_GUESSES = 10_000  # pairs of columns that are looked at for likeness
_MARGIN = 0.15  # two guesses nearer than that for one column are none
_SOME_SHARED, _MOST_SHARED, _ALL_SHARED = 0.3, 0.8, 0.95
_FEW_VALUES, _MANY_VALUES = 3, 20  # to tell anything by, and to tell it without a look at the names


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestedPair:
    """`key` where it is of the best key."""

    left: str
    right: str
    key: bool
    confidence: Confidence
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingSuggestion:
    """Pairs in the left side's order; `whole` where the samples are the tables."""

    pairs: tuple[SuggestedPair, ...]
    unmatched_left: tuple[str, ...]
    unmatched_right: tuple[str, ...]
    keys: tuple[KeyCandidate, ...]
    left_rows: int
    right_rows: int
    whole: bool


def suggest(left: TableSample, right: TableSample) -> MappingSuggestion:
    """Pairs columns of the same name, of names alike but for case and punctuation, then by likeness and values.

    What fits several columns of a side about as well is left to the user, and so are names that stand twice.
    """
    whole = left.whole and right.whole
    lefts, rights = _by_name(left), _by_name(right)
    matches = {
        pair.left: _by_names(MappedColumn(left=lefts[pair.left], right=rights[pair.right]), whole=whole)
        for pair in suggest_mapping(list(lefts), list(rights))
    }
    taken = {match.columns.right.name for match in matches.values()}
    guesses = _guesses(
        [column for name, column in lefts.items() if name not in matches],
        [column for name, column in rights.items() if name not in taken],
        whole=whole,
    )
    matches |= {match.columns.left.name: match for match in guesses}
    in_order = [matches[name] for name in lefts if name in matches]
    keys = find_keys([match.columns for match in in_order], whole=whole)
    best = {pair.left for pair in keys[0].columns} if keys and keys[0].confidence is not Confidence.LOW else set()
    taken = {match.columns.right.name for match in in_order}
    return MappingSuggestion(
        pairs=tuple(match.pair(key=match.columns.left.name in best) for match in in_order),
        unmatched_left=tuple(name for name in left.columns if name not in matches),
        unmatched_right=tuple(name for name in right.columns if name not in taken),
        keys=keys,
        left_rows=len(left.rows),
        right_rows=len(right.rows),
        whole=whole,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Match:
    columns: MappedColumn
    score: float
    confidence: Confidence
    reason: str

    def pair(self, *, key: bool) -> SuggestedPair:
        left, right = self.columns.sides
        return SuggestedPair(left=left.name, right=right.name, key=key, confidence=self.confidence, reason=self.reason)


def _by_name(sample: TableSample) -> dict[str, SampledColumn]:
    """The columns that a mapping can name."""
    counts = Counter(sample.columns)
    return {column.name: column for column in sampled_columns(sample) if column.name and counts[column.name] == 1}


def _by_names(columns: MappedColumn, *, whole: bool) -> _Match:
    left, right = columns.sides
    same = left.name == right.name
    reason = "The names are the same" if same else "The names differ in case or punctuation alone"
    if not left.kind.fits(right.kind):
        return _Match(
            columns=columns,
            score=1.0,
            confidence=Confidence.MEDIUM,
            reason=f"{reason}; but the left side has {left.kind} and the right side {right.kind}.",
        )
    if whole and min(len(left.values), len(right.values)) >= _MANY_VALUES and not left.shared_with(right):
        return _Match(
            columns=columns,
            score=1.0,
            confidence=Confidence.MEDIUM,
            reason=f"{reason}; but no value is on both sides.",
        )
    return _Match(columns=columns, score=1.0, confidence=Confidence.HIGH, reason=f"{reason}.")


def _guesses(lefts: Sequence[SampledColumn], rights: Sequence[SampledColumn], *, whole: bool) -> Iterator[_Match]:
    """The guesses that no other comes near to, for either of their columns."""
    if len(lefts) * len(rights) > _MOST_GUESSES:
        return
    found = [
        match
        for left in lefts
        for right in rights
        if (match := _guess(MappedColumn(left=left, right=right), whole=whole)) is not None
    ]
    best_two: dict[SampledColumn, list[float]] = {}
    for match in found:
        for side in match.columns.sides:
            best_two[side] = sorted([*best_two.get(side, ()), match.score], reverse=True)[:2]
    for match in found:
        rivals = [score for side in match.columns.sides for score in _without(best_two[side], match.score)]
        if match.score - max(rivals, default=0.0) >= _MARGIN:
            yield match


def _without(scores: list[float], score: float) -> list[float]:
    rest = scores.copy()
    if score in rest:
        rest.remove(score)
    return rest


def _guess(columns: MappedColumn, *, whole: bool) -> _Match | None:
    left, right = columns.sides
    if not left.kind.fits(right.kind):
        return None
    alike = likeness(left.name, right.name)
    if not alike and left.kind in {Kind.WHOLE_NUMBER, Kind.BOOLEAN}:  # counters and flags are alike everywhere
        return None
    values, shared = min(len(left.values), len(right.values)), left.shared_with(right)
    seen = f"{shared:.0%} of the values seen on one side are on the other"
    if alike > PART:
        if shared >= _SOME_SHARED and values:
            telling = values >= _FEW_VALUES and left.kind is not Kind.BOOLEAN
            confidence = Confidence.MEDIUM if telling else Confidence.LOW
            reason = f"The names are alike, and {seen}."
        elif whole and values:
            return None
        elif not values:
            confidence, reason = Confidence.LOW, "The names are alike; there are no values to compare."
        elif left.overlaps(right):
            confidence, reason = Confidence.LOW, f"The names are alike, and both have {left.kind} in one range."
        else:
            return None
    elif alike and shared >= _MOST_SHARED and values >= _FEW_VALUES:
        confidence, reason = Confidence.LOW, f"One name is a part of the other, and {seen}."
    elif shared >= _ALL_SHARED and values >= _MANY_VALUES:
        confidence, reason = Confidence.LOW, f"The names have nothing in common, but {seen}."
    else:
        return None
    return _Match(columns=columns, score=alike + shared, confidence=confidence, reason=reason)

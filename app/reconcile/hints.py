"""What would tell more: a key that the rows seem to have, and columns that seem to belong together."""

import shlex
from collections.abc import Iterator, Sequence

from app.domain.errors import InvalidError
from app.domain.reconciliation.confidence import Confidence
from app.domain.reconciliation.mapping import ColumnMapping, suggest_mapping
from app.domain.reconciliation.result import ReconciliationResult
from app.domain.reconciliation.samples import TableSample
from app.domain.reconciliation.suggestion import MappingSuggestion, suggest
from app.reconcile.sources import Source

ROWS = 3_000  # of each side: a tenth of a second's work


def hints(left: Source, right: Source, result: ReconciliationResult) -> Iterator[str]:
    """Sentences; none where nothing differs, and none of a key where one was named."""
    if not result.differing_row_count:
        return
    try:
        suggestion = suggest(_sample(left), _sample(right))
    except InvalidError:  # a table that can be compared, though not sampled: its header is very long
        return
    if not any(pair.key for pair in result.mapping):
        yield from _key(suggestion, result.mapping)
    yield from _pairs(left, right, suggestion, result.mapping)


def _key(suggestion: MappingSuggestion, mapping: Sequence[ColumnMapping]) -> Iterator[str]:
    compared = {(pair.left, pair.right) for pair in mapping}
    for key in suggestion.keys:
        if key.confidence is not Confidence.LOW and compared.issuperset(
            (pair.left, pair.right) for pair in key.columns
        ):
            names = [pair.left for pair in key.columns]
            options = " ".join(f"--key {shlex.quote(name)}" for name in names)
            look = "looks like a key" if len(names) == 1 else "look like a key"
            yield f"{' and '.join(names)} {look}; by {options} changed rows are told cell by cell."
            return


def _pairs(
    left: Source, right: Source, suggestion: MappingSuggestion, mapping: Sequence[ColumnMapping]
) -> Iterator[str]:
    """Pairs that are not of names alike: those are compared already, unless they were to be left out."""
    named = {pair.left for pair in suggest_mapping(left.header.columns, right.header.columns)}
    taken = {pair.left for pair in mapping} | named
    taken_right = {pair.right for pair in mapping}
    for pair in suggestion.pairs:
        if pair.confidence is not Confidence.LOW and pair.left not in taken and pair.right not in taken_right:
            option = shlex.quote(f"{pair.left}={pair.right}")
            yield f"{pair.left} and {pair.right} seem to belong together; by --map {option} they are compared."


def _sample(source: Source) -> TableSample:
    from app.outputs.sampling import sample_file  # noqa: PLC0415 - DuckDB comes with it, and takes 0.1 s to import

    sample = sample_file(source.file.path, delimiter=source.file.delimiter)
    step = len(sample.rows) // ROWS + 1
    return TableSample(columns=sample.columns, rows=sample.rows[::step], whole=sample.whole and step == 1)

"""What a comparison on a cluster is asked, and its form as a JSON document, which the job reads and no shell does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions
from app.domain.reconciliation.records import check_delimiter


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedOutput:
    """One side: a file that the cluster reads by its URI. `labels` are the columns' names where it is Parquet.

    Raises: InvalidError for a delimiter that is none.
    """

    uri: str
    size_bytes: int
    delimiter: str
    name: str
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_delimiter(self.delimiter, name=self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    left: ComparedOutput
    right: ComparedOutput
    mapping: tuple[ColumnMapping, ...]
    options: ReconciliationOptions
    sample_limit: int = 100

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values, from which `from_document` makes an equal question."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        options = document["options"]
        method = options["method"]
        return cls(
            left=_output(document["left"]),
            right=_output(document["right"]),
            mapping=tuple(ColumnMapping(**pair) for pair in document["mapping"]),
            options=ReconciliationOptions(
                **{
                    **options,
                    "method": None if method is None else ReconciliationMethod(method),
                    "pass_when": PassRule(**options["pass_when"]),
                }
            ),
            sample_limit=document["sample_limit"],
        )


def _output(document: Mapping[str, Any]) -> ComparedOutput:
    labels = document["labels"]
    return ComparedOutput(**{**document, "labels": None if labels is None else tuple(labels)})

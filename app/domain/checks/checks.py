"""A check as a person sets it, and as it is kept with a task and in the snapshot of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class DataCheckKind(StrEnum):
    NOT_NULL = "NOT_NULL"
    UNIQUE = "UNIQUE"
    ACCEPTED_VALUES = "ACCEPTED_VALUES"
    RANGE = "RANGE"
    MATCHES = "MATCHES"
    ROW_COUNT = "ROW_COUNT"
    FRESHNESS = "FRESHNESS"
    SQL = "SQL"


class CheckSeverity(StrEnum):
    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataCheck:
    """`arguments` are the kind's own; app.domain.checks.rules gives them types, and refuses what makes no sense."""

    kind: DataCheckKind
    column: str | None
    arguments: Mapping[str, Any]
    severity: CheckSeverity

    def to_document(self) -> dict[str, Any]:
        return {
            "kind": str(self.kind),
            "column": self.column,
            "arguments": dict(self.arguments),
            "severity": str(self.severity),
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "DataCheck":
        return cls(
            kind=DataCheckKind(document["kind"]),
            column=document["column"],
            arguments=document["arguments"],
            severity=CheckSeverity(document["severity"]),
        )


def checks_of(documents: Iterable[Mapping[str, Any]] | None) -> tuple[DataCheck, ...]:
    """The checks of a task or of a snapshot; None stands for none."""
    return tuple(DataCheck.of_document(each) for each in documents or ())

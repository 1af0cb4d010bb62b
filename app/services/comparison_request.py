"""What a worker and its comparing process say to each other; to import it takes no more than to say it."""

from dataclasses import asdict, dataclass

import orjson

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions, Thresholds

OUT_OF_MEMORY = "OUT_OF_MEMORY"
TOO_LITTLE_MEMORY = (
    "The comparison takes more memory than it may: raise `reconciliation_settings.memory_limit`, or lower "
    "`exact_match_threshold`, then run the reconciliation again."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SideFile:
    name: str
    path: str
    delimiter: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonRequest:
    """Everything that the process is to know; paths are local."""

    left: SideFile
    right: SideFile
    mapping: tuple[ColumnMapping, ...]
    options: ReconciliationOptions
    thresholds: Thresholds
    spill_dir: str
    differences_path: str
    memory_limit_bytes: int | None = None
    sample_limit: int = 100

    def to_line(self) -> bytes:
        return orjson.dumps(asdict(self)) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "ComparisonRequest":
        document = orjson.loads(line)
        options = document["options"]
        method = options["method"]
        return cls(
            left=SideFile(**document["left"]),
            right=SideFile(**document["right"]),
            mapping=tuple(ColumnMapping(**pair) for pair in document["mapping"]),
            options=ReconciliationOptions(
                **{
                    **options,
                    "method": None if method is None else ReconciliationMethod(method),
                    "pass_when": PassRule(**options["pass_when"]),
                }
            ),
            thresholds=Thresholds(**document["thresholds"]),
            spill_dir=document["spill_dir"],
            differences_path=document["differences_path"],
            memory_limit_bytes=document["memory_limit_bytes"],
            sample_limit=document["sample_limit"],
        )

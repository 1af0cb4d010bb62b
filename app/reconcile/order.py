"""One comparison as the command line orders it: both sides opened, compared, and the files written."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.domain.errors import InvalidError
from app.domain.identity import utc_now
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions, Thresholds
from app.domain.reconciliation.report import Report, ReportSide, report_page
from app.domain.reconciliation.result import ReconciliationResult
from app.domain.reconciliation.wording import duration_told
from app.domain.version import product_version
from app.reconcile.columns import ColumnWishes, chosen_mapping, left_out
from app.reconcile.comparison import ComparisonThread
from app.reconcile.hints import hints
from app.reconcile.kernel_cache import kernel_cache
from app.reconcile.result_files import check_place, result_file
from app.reconcile.sources import Show, Source, opened

SAMPLES = 100  # of each kind, in the report and in the document
PREPARING = "Preparing the comparison for this machine, once (some 10 s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileOrder:
    left: str
    right: str
    left_delimiter: str | None
    right_delimiter: str | None
    columns: ColumnWishes
    options: ReconciliationOptions
    differences: Path | None
    report: Path | None
    samples: int
    spill_dir: Path | None
    hinted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """What the command has to tell."""

    left: Source
    right: Source
    options: ReconciliationOptions
    result: ReconciliationResult
    compared_at: datetime
    duration: timedelta
    hints: tuple[str, ...]

    def heading(self) -> str:
        sides = " ↔ ".join(f"{source.location} ({source.told()})" for source in (self.left, self.right))
        return f"{sides}, compared in {duration_told(self.duration)}"

    def to_document(self) -> dict[str, Any]:
        return {
            **self.result.to_document(),
            "left": _side_document(self.left),
            "right": _side_document(self.right),
            "hints": self.hints,
            "options": asdict(self.options),
            "compared_at": self.compared_at.isoformat(timespec="seconds"),
            "duration_ms": round(self.duration / timedelta(milliseconds=1)),
            "version": product_version(),
        }

    def report(self) -> Report:
        return Report(
            left=_report_side(self.left),
            right=_report_side(self.right),
            result=self.result,
            options=self.options,
            compared_at=self.compared_at,
            duration=self.duration,
            version=product_version(),
        )


def reconcile_files(order: ReconcileOrder, *, show: Show) -> Reconciled:
    """Raises DomainError in words for a person, OSError of a source, and what interrupts the waiting."""
    _check(order)
    with (
        opened(order.left, delimiter=order.left_delimiter, scratch=order.spill_dir, show=show) as left,
        opened(order.right, delimiter=order.right_delimiter, scratch=order.spill_dir, show=show) as right,
    ):
        mapping = chosen_mapping(left.header, right.header, order.columns)
        compared_at, started = utc_now(), time.monotonic()
        result = _compared(order, left, right, mapping, show)
        reconciled = Reconciled(
            left=left,
            right=right,
            options=order.options,
            result=replace(result, warnings=(*result.warnings, *left_out(left.header, right.header, mapping))),
            compared_at=compared_at,
            duration=timedelta(seconds=time.monotonic() - started),
            hints=tuple(hints(left, right, result)) if order.hinted else (),
        )
        if order.report is not None:
            with result_file(order.report) as file:
                file.write(report_page(reconciled.report()).encode())
        return reconciled


def _compared(
    order: ReconcileOrder,
    left: Source,
    right: Source,
    mapping: tuple[ColumnMapping, ...],
    show: Show,
) -> ReconciliationResult:
    with kernel_cache(), ExitStack() as written:
        from app.domain.reconciliation.compare import compare  # noqa: PLC0415 - no mistake should wait for its kernels

        file = None if order.differences is None else written.enter_context(result_file(order.differences))
        table = None if file is None else DifferencesTable(mapping=mapping, write=file.write, rewind=file.rewind)

        def work(progress: Callable[[float], None], cancelled: Callable[[], bool]) -> ReconciliationResult:
            return compare(
                left.side,
                right.side,
                mapping,
                order.options,
                thresholds=Thresholds(),
                spill_dir=order.spill_dir or Path(tempfile.gettempdir()),
                sample_limit=order.samples,
                progress=progress,
                cancelled=cancelled,
                differences=table,
                compiling=lambda share: show(PREPARING, share or None),
            )

        result = ComparisonThread(work).result(lambda share: show("Comparing", share))
        if table is not None:
            table.finish()
        return result


def _check(order: ReconcileOrder) -> None:
    if order.spill_dir is not None and not order.spill_dir.is_dir():
        raise InvalidError(f"--spill-dir {order.spill_dir}: there is no such folder; make it first.")
    sides = {order.left: Path(order.left), order.right: Path(order.right)}
    check_place(order.differences, option="--differences", others=sides)
    if order.differences is not None:
        sides["--differences"] = order.differences
    check_place(order.report, option="--report", others=sides)


def _side_document(source: Source) -> dict[str, Any]:
    return {
        "location": source.location,
        "size_bytes": source.file.size_bytes,
        "delimiter": source.file.delimiter,
        "copied": source.file.copied,
        "columns": source.header.columns,
    }


def _report_side(source: Source) -> ReportSide:
    return ReportSide(
        name=source.location,
        size_bytes=source.file.size_bytes,
        delimiter=source.file.delimiter,
        detail="Read as a copy in plain CSV, of this size" if source.file.copied else "",
    )

"""`data-phantom reconcile`: compares any two files; exit status 0 equal, 1 different, 2 error."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import orjson
import typer

from app.domain.errors import DomainError
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions
from app.reconcile.columns import ColumnWishes
from app.reconcile.comparison import comparison_is_running
from app.reconcile.order import SAMPLES, Reconciled, ReconcileOrder, reconcile_files
from app.reconcile.screen import print_summary, progress_bar, write_error, write_out
from app.reconcile.sources import delimiter_named

EQUAL, DIFFERENT, ERROR = 0, 1, 2
INTERRUPTED, TERMINATED = 130, 143  # as a shell has them
TRACEBACK = "DATA_PHANTOM_TRACEBACK"
SAMPLES_SHOWN = 5


class _Terminated(KeyboardInterrupt):
    """A polite kill, which clears up as Ctrl-C does."""


class Method(StrEnum):
    exact = "exact"
    bloom = "bloom"


def reconcile(
    left: Annotated[
        str,
        typer.Argument(
            help="CSV or Parquet, packed or not: a file, -, a folder of parts, or s3://bucket/key.",
            show_default=False,
        ),
    ],
    right: Annotated[str, typer.Argument(help="The table to compare it with.", show_default=False)],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", "-k", help="A column that names a row; several by commas or again. Without: whole rows."),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--map", "-m", help="LEFT=RIGHT: columns that belong together, beside those of names alike."),
    ] = None,
    ignore_column: Annotated[
        list[str] | None, typer.Option("--ignore-column", "-i", help="A column to leave out; by commas or again.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Numbers this near are equal.", min=0)] = 0.0,
    relative_tolerance: Annotated[float, typer.Option(help="The same by proportion: 0.01 is 1 %.", min=0)] = 0.0,
    trim: Annotated[bool, typer.Option("--trim", help="Leave out white space around texts.")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", help="Take upper and lower case as the same.")] = False,
    empty_is_null: Annotated[
        bool, typer.Option("--empty-is-null", help='Take the empty text "" for NULL, which is an unquoted empty field.')
    ] = False,
    delimiter: Annotated[
        str | None, typer.Option(help="Of both files: a character, tab or \\x01. Without: what their first lines tell.")
    ] = None,
    left_delimiter: Annotated[str | None, typer.Option(help="Of the left file.")] = None,
    right_delimiter: Annotated[str | None, typer.Option(help="Of the right file.")] = None,
    method: Annotated[Method | None, typer.Option(help="How the answer is found. Without: by size.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Without: what Bloom filters alone say, with an error bound.")
    ] = True,
    max_differing_rows: Annotated[
        int, typer.Option(help="So many rows may differ, and the status is 0 all the same.", min=0)
    ] = 0,
    max_differing_percent: Annotated[
        float, typer.Option(help="So many of a hundred rows may differ.", min=0, max=100)
    ] = 0.0,
    differences: Annotated[Path | None, typer.Option(help="Write every differing row to this CSV file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report to this HTML file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as one JSON object.")] = False,
    samples: Annotated[
        int | None,
        typer.Option(help=f"Rows of each kind to show; {SAMPLES_SHOWN}, {SAMPLES} in report and JSON.", min=0),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors, and the JSON.")] = False,
    spill_dir: Annotated[
        Path | None, typer.Option(help="The folder for intermediate files; the temporary folder by default.")
    ] = None,
) -> None:
    """Compare two tables in files, row by row.

    Exit status: 0 equal, 1 different, 2 error.

    Columns of names alike are compared: numbers by value, moments by instant.

    With --key, a row with other values is told as changed, cell by cell.
    """

    def order() -> ReconcileOrder:
        return ReconcileOrder(
            left=left,
            right=right,
            left_delimiter=_delimiter(left_delimiter or delimiter),
            right_delimiter=_delimiter(right_delimiter or delimiter),
            columns=ColumnWishes(keys=key or (), pairs=pairs or (), ignored=ignore_column or ()),
            options=ReconciliationOptions(
                absolute_tolerance=tolerance,
                relative_tolerance=relative_tolerance,
                trim=trim,
                ignore_case=ignore_case,
                empty_is_null=empty_is_null,
                method=_method(method, verify=verify),
                verify=verify,
                pass_when=PassRule(max_differing_rows=max_differing_rows, max_differing_percent=max_differing_percent),
            ),
            differences=differences,
            report=report,
            samples=SAMPLES if samples is None else samples,
            spill_dir=spill_dir,
            hinted=as_json or not quiet,
        )

    def tell(reconciled: Reconciled) -> None:
        if as_json:
            write_out(orjson.dumps(reconciled.to_document()).decode() + "\n")
        elif not quiet:
            print_summary(
                reconciled.result,
                samples=SAMPLES_SHOWN if samples is None else samples,
                heading=reconciled.heading(),
                footing=[f"Hint: {hint}" for hint in reconciled.hints],
            )

    raise typer.Exit(_status(order, tell, quiet=quiet or as_json))


def _status(order: Callable[[], ReconcileOrder], tell: Callable[[Reconciled], None], *, quiet: bool) -> int:
    """The exit status; whatever went wrong has been said in one sentence."""
    try:
        with _ending_on_sigterm():
            asked = order()
            with progress_bar(quiet=quiet) as show:
                reconciled = reconcile_files(asked, show=show)
            tell(reconciled)
    except KeyboardInterrupt as interruption:
        return _interrupted(TERMINATED if isinstance(interruption, _Terminated) else INTERRUPTED)
    except DomainError as error:
        sentence = error.message
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename} cannot be used: "
        sentence = f"{where}{error.strerror or error}. Check the path and your rights to it."
    except MemoryError:
        sentence = "There was not enough memory: end other programs, or compare fewer columns (--ignore-column)."
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        sentence = (
            f"The comparison failed in an unforeseen way ({type(error).__name__}: {error}). This is a fault of "
            f"Data Phantom: please report it, with what the command says under {TRACEBACK}=1."
        )
    else:
        return EQUAL if reconciled.result.matched else DIFFERENT
    write_error(sentence)
    return ERROR


def _interrupted(status: int) -> int:
    """A comparison that is deep in a kernel sees no wish to stop, and must not be waited for."""
    if comparison_is_running():
        sys.stdout.flush()
        os._exit(status)
    return status


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _delimiter(text: str | None) -> str | None:
    return None if text is None else delimiter_named(text)


def _method(method: Method | None, *, verify: bool) -> ReconciliationMethod | None:
    """To leave the verification out is to ask for filters."""
    if method is None:
        return None if verify else ReconciliationMethod.BLOOM
    return ReconciliationMethod(method.upper())

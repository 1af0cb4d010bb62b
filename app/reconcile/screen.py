"""What the command says: progress on standard error, the result on standard output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from app.domain.errors import UnavailableError
from app.domain.reconciliation.result import ReconciliationResult
from app.domain.reconciliation.summary import summary
from app.reconcile.sources import Show

_STYLES = (
    (r"(?m)^(Changed columns|Changed|Only on the left|Only on the right)\b.*$", "bold"),
    (r"(?m)^(Note|Hint):", "bold yellow"),
    (r" -> ", "yellow"),
    (r"\bNULL\b", "dim"),
)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Show]:
    """A bar for each thing that is being done; it is seen on a terminal alone, and gone at the end."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        bars: dict[str, TaskID] = {}

        def show(doing: str, share: float | None) -> None:
            if doing not in bars:
                bars[doing] = progress.add_task(escape(_harmless(doing)), total=None)
            progress.update(bars[doing], total=None if share is None else 1.0, completed=share)

        yield show


def print_summary(result: ReconciliationResult, *, samples: int, heading: str, footing: list[str]) -> None:
    """In words, with colours where the terminal has them; a long line is left to the terminal to wrap."""
    rendered = StringIO()  # rich itself would end the process where nobody reads
    console = Console(file=rendered, highlight=False, force_terminal=bool(sys.stdout and sys.stdout.isatty()))
    told = Text(_harmless("\n\n".join([summary(result, samples=samples), *footing])))
    for pattern, style in _STYLES:
        told.highlight_regex(pattern, style)
    verdict_end = told.plain.find("\n")
    told.stylize("bold green" if result.matched else "bold red", 0, verdict_end if verdict_end > 0 else len(told))
    console.print(Text(_harmless(heading), style="dim"), soft_wrap=True)
    console.print(told, soft_wrap=True)
    write_out(rendered.getvalue())


def write_out(text: str) -> None:
    """To standard output, as far as its encoding goes; a reader that has gone (`| head`) changes no exit status.

    Raises: UnavailableError.
    """
    stream = sys.stdout
    if stream is None:  # closed by the shell
        return
    try:
        stream.write(text.encode(stream.encoding, "replace").decode(stream.encoding))
        stream.flush()
    except OSError as error:
        # What is still in the buffer must not fail a second time when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise UnavailableError(f"Standard output cannot be written ({error.strerror}).") from error


def write_error(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(
        Text.assemble(("Error: ", "bold red"), _harmless(sentence)), soft_wrap=True
    )


def _harmless(text: str) -> str:
    """Names of files and columns must not steer the terminal either."""
    return "".join(mark if mark.isprintable() or mark == "\n" else repr(mark)[1:-1] for mark in text)

"""What the command says: progress on standard error, the result on standard output."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from app.domain.reconciliation.result import ReconciliationResult
from app.domain.reconciliation.summary import summary

_STYLES = (
    (r"(?m)^(Changed columns|Changed|Only on the left|Only on the right)\b.*$", "bold"),
    (r"(?m)^(Note|Hint):", "bold yellow"),
    (r" -> ", "yellow"),
    (r"\bNULL\b", "dim"),
)


@contextmanager
def progress_bar(description: str, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    """Gives a listener for a share between 0 and 1; the bar is seen on a terminal alone, and gone at the end."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        bar = progress.add_task(description, total=1.0)
        yield lambda share: progress.update(bar, completed=share)


def print_summary(result: ReconciliationResult, *, samples: int, heading: str, footing: list[str]) -> None:
    """In words, with colours where the terminal has them; a long line is left to the terminal to wrap."""
    console = Console(highlight=False)
    told = Text("\n\n".join([summary(result, samples=samples), *footing]))
    for pattern, style in _STYLES:
        told.highlight_regex(pattern, style)
    verdict_end = told.plain.find("\n")
    told.stylize("bold green" if result.matched else "bold red", 0, verdict_end if verdict_end > 0 else len(told))
    with console.capture() as captured:
        console.print(Text(heading, style="dim"), soft_wrap=True)
        console.print(told, soft_wrap=True)
    write_out(captured.get())


def write_out(text: str) -> None:
    """To standard output; a reader that has gone (`| head`) is no error, and does not change the exit status."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer must not fail a second time when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_error(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(Text.assemble(("Error: ", "bold red"), sentence), soft_wrap=True)

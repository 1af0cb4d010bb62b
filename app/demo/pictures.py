"""What the tour shows in a terminal: a run as it goes, and a comparison that has ended."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

MARKS = {
    "PENDING": ("·", "dim"),
    "QUEUED": ("○", "dim"),
    "SUCCESS": ("✓", "green"),
    "FAILED": ("✗", "bold red"),
    "UPSTREAM_FAILED": ("✗", "red"),
    "SKIPPED": ("-", "dim"),
    "CANCELLED": ("-", "yellow"),
}
ENDED = frozenset({"SUCCESS", "FAILED", "UPSTREAM_FAILED", "SKIPPED", "CANCELLED"})
WIDEST = 24


class RunPicture:
    """A table that changes in place on a terminal; a line for each task that has ended elsewhere."""

    def __init__(self, *, console: Console, title: str, tasks: list[dict[str, Any]]) -> None:
        self._console = console
        self._title = title
        self._tasks: dict[str, dict[str, Any]] = {
            task["name"]: {"type": task["type"], "status": "PENDING"} for task in tasks
        }
        self._spinner = Spinner("dots")
        self._live = Live(console=console, refresh_per_second=12, get_renderable=self._table, transient=False)

    def __enter__(self) -> Self:
        self._console.print()
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(self._title)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, events: list[dict[str, Any]]) -> None:
        """Take in what has happened; `taskRun` is as it is now, the event's own status counts."""
        for event in events:
            task_run = event["taskRun"]
            if task_run is None:
                continue
            self._tasks[task_run["name"]] = {**task_run, "status": event["status"]}
            if event["status"] in ENDED and not self._console.is_terminal:
                self._console.print(self._line(task_run["name"]))

    def _table(self) -> RenderableType:
        grid = Table.grid(padding=(0, 2))
        for name, task in self._tasks.items():
            mark: RenderableType = self._spinner if task["status"] == "RUNNING" else Text(*MARKS[task["status"]])
            grid.add_row(mark, name, Text(task["type"], style="dim"), *self._facts(task))
        return Group(Text(self._title, style="bold"), grid)

    def _line(self, name: str) -> str:
        task = self._tasks[name]
        mark, _ = MARKS[task["status"]]
        facts = "  ".join(f"{fact}" for fact in self._facts(task) if f"{fact}")
        return f"  {mark} {name:<{WIDEST}} {task['type']:<9} {facts}"

    def _facts(self, task: dict[str, Any]) -> tuple[Text, Text]:
        if task["status"] not in ENDED:
            return Text(""), Text("")
        if task.get("error"):
            return Text(task["error"]["code"], style="red"), Text(task["error"]["message"], style="red")
        took = "" if task.get("durationMs") is None else f"{task['durationMs'] / 1000:6.2f} s"
        rows = "" if not task.get("output") else f"{task['output']['rowCount']:>9,} rows"
        return Text(rows), Text(took)


class ReconciliationPicture:
    def __init__(self, *, console: Console) -> None:
        self._console = console

    def show(self, run: dict[str, Any]) -> None:
        result = run["result"]
        if result is None:
            self._console.print(f"[red]{run['status']}[/red] {(run['error'] or {}).get('message', '')}")
            return
        differing = result["changedRowCount"] + result["leftOnlyRowCount"] + result["rightOnlyRowCount"]
        total = differing + result["commonRowCount"]
        verdict = "[green]They match[/green]" if result["matched"] else "[yellow]They differ[/yellow]"
        self._console.print(
            f"{verdict}: {differing:,} of {total:,} rows ({run['method']}, {run['durationMs'] / 1000:.2f} s)"
        )
        self._console.print(
            f"  left {result['leftRowCount']:,} · right {result['rightRowCount']:,} · common "
            f"{result['commonRowCount']:,} · changed {result['changedRowCount']:,} · only left "
            f"{result['leftOnlyRowCount']:,} · only right {result['rightOnlyRowCount']:,}"
        )
        for column in result["columns"]:
            if column["differingRowCount"]:
                furthest = column["maxAbsoluteDifference"]
                by = "" if furthest is None else f", by at most {furthest:g}"
                self._console.print(f"  {column['left']} differs in {column['differingRowCount']:,} rows{by}")
        self._samples(run, result["samples"])
        for warning in result["warnings"]:
            self._console.print(f"  Note: {warning}")

    def _samples(self, run: dict[str, Any], samples: list[dict[str, Any]]) -> None:
        if not samples:
            return
        columns = [pair["left"] for pair in run["mapping"]]
        keys = [pair["left"] for pair in run["mapping"] if pair["key"]]
        changed = [name for name in columns if any(name in row["changedColumns"] for row in samples)]
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for name in keys:
            table.add_column(name)
        for name in changed:
            table.add_column(f"{name}\n{run['leftTaskRun']['type']}", justify="right")
            table.add_column(f"\n{run['rightTaskRun']['type']}", justify="right", style="yellow")
        for row in samples:
            cells = [cell or "NULL" for cell in row["key"] or ()]
            for name in changed:
                place = columns.index(name)
                cells += [row["left"][place] or "NULL", row["right"][place] or "NULL"]
            table.add_row(*cells)
        self._console.print(table)

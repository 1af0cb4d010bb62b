"""The command line: the platform's commands, and `reconcile`, which starts without importing the platform."""

from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from app.reconcile_command import reconcile

ALONE = frozenset({"reconcile"})


class Commands(TyperGroup):
    """Imports the platform, which takes seconds, when one of its commands or the list of all is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        self._take_in_the_platform()
        return sorted(super().list_commands(ctx), key=lambda name: name in ALONE)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in ALONE:
            self._take_in_the_platform()
        return super().get_command(ctx, cmd_name)

    def _take_in_the_platform(self) -> None:
        from app.platform_commands import platform  # noqa: PLC0415 - it is what would make `reconcile` wait

        self.commands.update(get_group(platform).commands)


cli = typer.Typer(
    cls=Commands,
    help="Data Phantom: playgrounds of SQL tasks over five engines; run them, watch them live, reconcile them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command()(reconcile)


@cli.callback()
def main_group() -> None:
    """Keeps `reconcile` a command of the group, where it is the only one that is known at the start."""


def main() -> None:
    """The entry of `data-phantom`."""
    cli()

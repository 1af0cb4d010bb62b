"""What is wrong with the settings: every fault at once, each with its path, its value and what is permitted."""

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsFault:
    """One wrong value; `value` is ready to be shown (secrets are masked), `source` names the variable it came from."""

    path: str
    problem: str
    value: str | None = None
    permitted: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {self.value}"
        source = "" if self.source is None else f" (from {self.source})"
        permitted = "" if self.permitted is None else f"; permitted: {self.permitted}"
        return f"{self.path}{value}{source}: {self.problem}{permitted}"


class SettingsError(Exception):
    """The settings cannot be used; `faults` has every reason, in the order of the file."""

    def __init__(self, faults: Iterable[SettingsFault]) -> None:
        self.faults = tuple(faults)
        count = "one value" if len(self.faults) == 1 else f"{len(self.faults)} values"
        super().__init__("\n".join([f"The settings have {count} to mend:", *(f"  - {fault}" for fault in self.faults)]))


def path_text(path: Path) -> str:
    """`("server", "applicationConnectors", 0, "port")` as `server.applicationConnectors[0].port`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

r"""`${VAR}` and `${VAR:default}` inside the strings of a settings file.

Expansion happens after YAML was read, so a value with `: ` or `#` in it cannot change the file's shape. A variable
that is set wins over the default, also when it is empty; what it holds is taken literally and not expanded again. A
default reaches to the brace that closes it and may hold further `${…}`; `\}` is a brace inside it, `\\` a backslash.
`$${` stands for `${` itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExpansionError(ValueError):
    """A placeholder that cannot be filled; the message says why and never holds a value."""


@dataclass(kw_only=True, slots=True)
class Expansion:
    """The expanded text, and the names of the variables that were set and used in it."""

    text: str
    variables: list[str] = field(default_factory=list)


def expand(text: str, env: Mapping[str, str]) -> Expansion:
    """Fill in every placeholder. Raises: ExpansionError."""
    reader = _Reader(text, env)
    return Expansion(text=reader.read(), variables=reader.variables)


class _Reader:
    def __init__(self, text: str, env: Mapping[str, str]) -> None:
        self.variables: list[str] = []
        self._text = text
        self._env = env
        self._at = 0

    def read(self, *, in_default: bool = False, wanted: bool = True) -> str:
        """Read to the end, or inside a default to its closing brace; what is not `wanted` is only passed over."""
        out: list[str] = []
        text = self._text
        while self._at < len(text):
            if text.startswith("$${", self._at):
                out.append("${")
                self._at += 3
            elif text.startswith("${", self._at):
                out.append(self._placeholder(wanted=wanted))
            elif in_default and text[self._at] == "\\" and text[self._at + 1 : self._at + 2] in {"}", "\\"}:
                out.append(text[self._at + 1])
                self._at += 2
            elif in_default and text[self._at] == "}":
                return "".join(out)
            else:
                out.append(text[self._at])
                self._at += 1
        if in_default:
            raise ExpansionError("a ${ is not closed by }; write $${ where no variable is meant")
        return "".join(out)

    def _placeholder(self, *, wanted: bool) -> str:
        name = _NAME.match(self._text, self._at + 2)
        end = name.end() if name else -1
        after = self._text[end : end + 1] if name else ""
        if name is None or after not in {":", "}"}:
            raise ExpansionError(
                "a ${ is not followed by VARIABLE} or VARIABLE:default}; write $${ where none is meant"
            )
        self._at = end + 1
        value = self._env.get(name[0])
        if value is not None and wanted:
            self.variables.append(name[0])
        if after == ":":
            default = self.read(in_default=True, wanted=wanted and value is None)
            self._at += 1
            return default if value is None else value
        if value is None and wanted:
            raise ExpansionError(f"the environment variable {name[0]} is not set, and ${{{name[0]}}} has no default")
        return value or ""

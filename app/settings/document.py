"""A settings file as a tree: read by YAML's safe loader, with its placeholders filled in."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from app.settings.expansion import ExpansionError, expand
from app.settings.faults import Path, SettingsError, SettingsFault, path_text

Tree = dict[str, Any]


class Verbatim(str):
    """Text of the environment: what it holds is no placeholder."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """YAML lets a key that stands twice win in silence; here it is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is no text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_document(path: FilePath) -> Tree:
    """The file's tree, placeholders still in it. Raises: SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _unreadable(path, "this is no text in UTF-8") from None
    except OSError as error:
        raise _unreadable(path, f"the file cannot be read: {error.strerror}") from error
    try:
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506  a subclass of the safe loader
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-13-01 is a ValueError
        # The error's own text quotes the line, which may hold a password.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise _unreadable(path, f"this is no valid YAML{where}: {problem}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise _unreadable(path, "the file must be a mapping of sections, such as server: and meta_store:")
    return tree


def _unreadable(path: FilePath, problem: str) -> SettingsError:
    return SettingsError([SettingsFault(path=str(path), problem=problem)])


@dataclass(kw_only=True, slots=True)
class Filled:
    """A tree without placeholders; where one could not be filled, a fault stands at its path."""

    tree: Tree
    sources: dict[Path, str] = field(default_factory=dict)
    faults: dict[Path, SettingsFault] = field(default_factory=dict)


def fill(tree: Tree, env: Mapping[str, str]) -> Filled:
    """Fill in all placeholders; keys without a value are dropped, so that their defaults hold."""
    filled = Filled(tree={})
    filled.tree = _fill_value(tree, (), env, filled)
    return filled


def _fill_value(value: Any, path: Path, env: Mapping[str, str], filled: Filled) -> Any:
    if isinstance(value, dict):
        return {k: _fill_value(v, (*path, k), env, filled) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_fill_value(v, (*path, i), env, filled) for i, v in enumerate(value)]
    if isinstance(value, Verbatim):
        return str(value)
    if not isinstance(value, str):
        return value
    try:
        expansion = expand(value, env)
    except ExpansionError as error:
        filled.faults[path] = SettingsFault(path=path_text(path), problem=str(error))
        return value
    if expansion.variables:
        filled.sources[path] = ", ".join(expansion.variables)
    return expansion.text

"""`DATA_PHANTOM__SECTION__KEY=value`: the environment laid over the file's tree, key by key.

Case and underscores inside a key do not matter (`META_STORE__MAX_SIZE` is `meta_store.maxSize`); a number picks an
entry of a list (`SERVER__APPLICATION_CONNECTORS__0__PORT`); a whole section or list may be given as JSON or YAML, and a
list of texts by commas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import yaml
from pydantic import BaseModel

from app.settings.diagnosis import unknown_key
from app.settings.document import Tree, Verbatim
from app.settings.faults import Path, SettingsFault, path_text
from app.settings.schema import PREFIX, Place, plain


@dataclass(kw_only=True, slots=True)
class Overlay:
    """The paths that the environment has set, each with its variable, and the variables that fit nowhere."""

    sources: dict[Path, str] = field(default_factory=dict)
    faults: list[SettingsFault] = field(default_factory=list)


def overlay(tree: Tree, env: Mapping[str, str], root: type[BaseModel]) -> Overlay:
    """Write the environment's values into the tree, in place."""
    done = Overlay()
    names = sorted((name for name in env if name.upper().startswith(PREFIX)), key=lambda name: (name.count("__"), name))
    for name in names:
        try:
            path, place = _locate(name, tree, root)
            value = _read(env[name], place)
        except _MisfitError as misfit:
            done.faults.append(misfit.fault)
            continue
        _put(tree, path, value)
        done.sources[path] = name
    return done


class _MisfitError(Exception):
    def __init__(self, fault: SettingsFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def _locate(name: str, tree: Tree, root: type[BaseModel]) -> tuple[Path, Place]:
    path: Path = ()
    place = Place.of(root)
    here: Any = tree
    for part in name[len(PREFIX) :].split("__"):
        key = _key(part, place, here)
        below = place.step(key)
        if below is None:
            if place.is_leaf:
                raise _MisfitError(SettingsFault(path=name, problem=f"{path_text(path)} is one value and has no keys"))
            fault = unknown_key(root, (*path, key))
            raise _MisfitError(SettingsFault(path=name, problem=fault.problem, permitted=fault.permitted))
        if isinstance(key, int) and key > len(here if isinstance(here, list) else ()):
            problem = f"{path_text(path)} has no entry {key}; counting starts at 0, and entries are added one by one"
            raise _MisfitError(SettingsFault(path=name, problem=problem))
        path, place = (*path, key), below
        if isinstance(here, dict):
            here = here.get(key)
        elif isinstance(here, list) and isinstance(key, int) and key < len(here):
            here = here[key]
        else:
            here = None
    return path, place


def _key(part: str, place: Place, here: Any) -> str | int:
    """The key as the file would have it."""
    if place.is_list and part.isdecimal():
        return int(part)
    known = [*place.keys(), *(here if place.is_dict and isinstance(here, dict) else ())]
    return next((key for key in known if plain(key) == plain(part)), part.lower())


def _read(text: str, place: Place) -> Any:
    if place.is_leaf:
        return Verbatim(text)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if place.is_list and not isinstance(value, list):
        return [Verbatim(entry.strip()) for entry in text.split(",") if entry.strip()]
    # Anything else is refused by the validation that follows, with its path.
    return _verbatim(value) if isinstance(value, dict | list) else Verbatim(text)


def _verbatim(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _verbatim(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_verbatim(entry) for entry in value]
    return Verbatim(value) if isinstance(value, str) else value


def _put(tree: Tree, path: Path, value: Any) -> None:
    here: Any = tree
    for part, following in pairwise(path):
        wanted: type = list if isinstance(following, int) else dict
        if isinstance(here, list) and part == len(here):
            here.append(None)
        below = here.get(part) if isinstance(here, dict) else here[part]
        if not isinstance(below, wanted):
            below = wanted()
            here[part] = below
        here = below
    if isinstance(here, list) and path[-1] == len(here):
        here.append(value)
    else:
        here[path[-1]] = value

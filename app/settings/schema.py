"""The sections' own types, read as a tree: what stands at a path, and which keys there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.alias_generators import to_snake
from pydantic.fields import FieldInfo

from app.settings.faults import Path
from app.settings.permitted import keys_of, permitted_words
from app.settings.secret_url import MASK, SecretUrl, mask_url
from app.settings.section import required_part

PREFIX = "DATA_PHANTOM__"
DICT_KEY = "[key]"  # pydantic's last step where the key of a dict is wrong, and not its value


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A type with the markers beside it."""

    annotation: Any
    metadata: Sequence[Any] = ()

    @classmethod
    def of(cls, annotation: Any, metadata: Sequence[Any] = ()) -> "Place":
        found = [*metadata]
        annotation = required_part(annotation)
        while get_origin(annotation) is Annotated:
            annotation, *markers = get_args(annotation)
            for marker in markers:
                found += marker.metadata if isinstance(marker, FieldInfo) else [marker]
            annotation = required_part(annotation)
        return cls(annotation=annotation, metadata=tuple(found))

    @property
    def section(self) -> type[BaseModel] | None:
        return self.annotation if isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel) else None

    @property
    def is_dict(self) -> bool:
        return get_origin(self.annotation) is dict

    @property
    def is_list(self) -> bool:
        return get_origin(self.annotation) is tuple

    @property
    def is_leaf(self) -> bool:
        return not (self.section or self.is_dict or self.is_list)

    @property
    def permitted(self) -> str | None:
        if self.is_list:
            return f"a list, each of {Place.of(get_args(self.annotation)[0]).permitted}"
        return permitted_words(self.annotation, self.metadata)

    def keys(self) -> tuple[str, ...]:
        return keys_of(self.section) if self.section else ()

    def step(self, part: str | int) -> "Place | None":
        """What stands one step further down, or None where there is no such key."""
        if self.section:
            for name, field in self.section.model_fields.items():
                if part in {name, field.alias}:
                    return Place.of(field.annotation, field.metadata)
        elif self.is_dict:
            return Place.of(get_args(self.annotation)[1])
        elif self.is_list:
            return Place.of(get_args(self.annotation)[0])
        return None

    def shown(self, value: Any) -> str | None:
        """The value as a person may see it: secrets masked, and sections not at all."""
        if isinstance(self.annotation, type) and issubclass(self.annotation, SecretStr):
            readable = self.annotation is SecretUrl and "://" in str(value)
            return mask_url(str(value)) if readable else MASK
        if not self.is_leaf or isinstance(value, dict | list):
            return None
        return repr(value) if isinstance(value, str) else str(value)


def place_at(root: type[BaseModel], path: Path) -> Place | None:
    """What stands at the path; for the key of a dict, what the key must be."""
    place: Place | None = Place.of(root)
    for position, part in enumerate(path):
        if place is None:
            return None
        if place.is_dict and path[position + 1 : position + 2] == (DICT_KEY,):
            return Place.of(get_args(place.annotation)[0])
        place = place.step(part)
    return place


def nearest(key: str, known: Sequence[str]) -> str | None:
    """The known key that was probably meant."""
    by_plain = {plain(name): name for name in known}
    if plain(key) in by_plain:
        return by_plain[plain(key)]
    close = get_close_matches(plain(key), by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def variable_name(path: Path) -> str:
    """The environment variable that sets what stands at the path."""
    return PREFIX + "__".join(to_snake(part) if isinstance(part, str) else str(part) for part in path).upper()


def plain(key: str) -> str:
    """A key without what its writing differs in: `maxSize`, `max_size` and `MAXSIZE` are one."""
    return key.replace("_", "").replace("-", "").lower()

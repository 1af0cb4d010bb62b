"""What every section of the settings has in common: frozen, closed to unknown keys, and strict where YAML is lax."""

from datetime import date
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A section whose keys are written as the fields are named."""

    # Code constructs a section by field names; files are read by alias alone (see Settings).
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_what_yaml_guessed(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `yes` as true and `0123` as 83: a number is no boolean, and text needs its quotes."""
        annotation = required_part(cls.model_fields[info.field_name or ""].annotation)
        if isinstance(value, bool) and annotation in {int, float}:
            raise PydanticCustomError("wrong_kind", "this is no number")
        is_text = isinstance(annotation, type) and issubclass(annotation, str | SecretStr)
        if is_text and isinstance(value, bool | int | float | date):
            raise PydanticCustomError("wrong_kind", "YAML does not read this as text; put it in quotes")
        return value


class CamelSection(Section):
    """A section whose keys are written in camelCase, as the specification has them."""

    model_config = ConfigDict(alias_generator=to_camel)


def required_part(annotation: Any) -> Any:
    """`T` of `T | None`, and any other annotation as it is."""
    if get_origin(annotation) in {UnionType, Union}:
        parts = [part for part in get_args(annotation) if part is not NoneType]
        if len(parts) == 1:
            return parts[0]
    return annotation


def cross_fault(key: str, problem: str) -> PydanticCustomError:
    """A fault of the section's `key` that shows only beside another value."""
    return PydanticCustomError("cross_fault", "{problem}", {"key": key, "problem": problem})

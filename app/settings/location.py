"""Paths in the settings: absolute from the start, so that a later change of folder moves nothing."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError


def _not_empty(value: Any) -> Any:
    if value == "":
        raise PydanticCustomError("wrong_kind", "it is empty")
    return value


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("the home folder that ~ stands for is not known") from None


Location = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_absolute)]

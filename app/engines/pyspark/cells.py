"""What Spark's types and values are called and look like in an output, whichever Spark they come from."""

from importlib import import_module
from typing import Any


def type_name(data_type: Any) -> str:
    """The name of a type of Spark's, as its SQL has it."""
    name = str(data_type.simpleString())
    return name if "<" in name else name.upper()  # the names of a struct's fields are the author's own


def cells_of(column: Any) -> list[Any]:
    """Python values of an Arrow column that read as Spark shows them."""
    np = optional("numpy")
    pa = optional("pyarrow")

    column = plain_timestamps(column)
    cells: list[Any] = column.to_pylist(maps_as_pydicts="lossy")
    if pa.types.is_float32(column.type):  # 0.1, not the nearest double's 0.10000000149011612
        return [None if cell is None else float(str(np.float32(cell))) for cell in cells]
    return cells


def plain_timestamps(column: Any) -> Any:
    """An instant becomes the wall clock of its zone, which is the session's."""
    pa = optional("pyarrow")
    pc = optional("pyarrow.compute")

    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return pc.local_timestamp(column)
    return column


def optional(module: str) -> Any:
    """A module that comes with the optional pyspark client."""
    return import_module(module)

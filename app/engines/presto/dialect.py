"""The two families of one protocol: Presto, and Trino, which has parted from it and renamed the headers."""

from enum import StrEnum


class Dialect(StrEnum):
    """The value is the word in the names of the headers."""

    PRESTO = "Presto"
    TRINO = "Trino"

    def header(self, name: str) -> str:
        return f"X-{self}-{name}"

    @property
    def capabilities(self) -> str | None:
        """Without it Trino cuts timestamps to milliseconds."""
        return "PARAMETRIC_DATETIME" if self is Dialect.TRINO else None

"""What is logged, and in which form."""

from enum import StrEnum

from app.settings.section import Section


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"

    @classmethod
    def _missing_(cls, value: object) -> "LogLevel | None":
        """`info` is INFO."""
        return next((level for level in cls if isinstance(value, str) and level.value == value.upper()), None)


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class LogSettings(Section):
    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.JSON

"""Sizes, durations and delimiters as people read them."""

from datetime import timedelta

_UNITS = ("kB", "MB", "GB", "TB")
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", "\x01": "Ctrl-A"}


def size_told(size_bytes: int) -> str:
    if size_bytes < 1000:  # noqa: PLR2004 - of the first unit
        return f"{size_bytes} bytes" if size_bytes != 1 else "1 byte"
    size, units = size_bytes / 1000, iter(_UNITS[1:])
    unit = _UNITS[0]
    while size >= 999.5 and (larger := next(units, None)):  # noqa: PLR2004 - it would be rounded to a thousand
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def duration_told(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def delimiter_told(delimiter: str) -> str:
    return _DELIMITERS.get(delimiter, f"«{delimiter}»")


def percent_told(part: int, whole: int) -> str:
    """With two digits, which never round some to none, nor less than all to all."""
    if not part or not whole:
        return "0 %"
    if part == whole:
        return "100 %"
    return f"{min(max(part / whole * 100, 0.01), 99.99):.2f} %"

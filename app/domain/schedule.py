"""When a playground fires: cron expressions in a time zone, and what to do with fires that were missed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cron_descriptor import FormatError, MissingFieldError, Options, WrongArgumentError, get_description
from croniter import HOUR_FIELD, CroniterError, croniter

from app.domain.errors import InvalidError

MAX_LENGTH = 200
FIELDS_WITH_SECONDS = 6
HOURS = 24
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CatchupPolicy(StrEnum):
    SKIP = "SKIP"
    LATEST = "LATEST"
    ALL = "ALL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A checked cron expression: five fields, six with seconds at the end, or `@daily` and its kin."""

    cron: str
    timezone: str = "UTC"
    paused: bool = False
    catchup: CatchupPolicy = CatchupPolicy.SKIP

    def __post_init__(self) -> None:
        """Check both parts.

        Raises: InvalidError, with the path of the part that is wrong and the reason.
        """
        zone = _zone(self.timezone)
        if len(self.cron) > MAX_LENGTH:
            raise InvalidError(
                f"A cron expression has at most {MAX_LENGTH} characters; this has {len(self.cron)}. Ranges (0-30) and "
                f"steps (*/5) are shorter than lists.",
                path=("cron",),
            )
        fields = self.cron.split()
        if not self.cron.strip().startswith("@") and len(fields) not in {5, 6}:
            raise InvalidError(
                f"A cron expression has five fields (minute hour day month weekday), or six with seconds at the end; "
                f"{self.cron!r} has {len(fields)}.",
                path=("cron",),
            )
        if any(field[:1] in {"R", "r"} for field in fields):  # croniter would draw anew at every look
            raise InvalidError(f"{self.cron!r} has a random field (R); name the time itself.", path=("cron",))
        try:
            first = croniter(self.cron, datetime.now(UTC).astimezone(zone), max_years_between_matches=8)
            first.get_next(datetime)
        except (CroniterError, ValueError, KeyError, AttributeError) as error:
            raise InvalidError(f"{self.cron!r} is not a cron expression: {error}", path=("cron",)) from error

    def fire_times(self, *, after: datetime) -> Iterator[datetime]:
        """The fire times later than `after`, in UTC, without end.

        A time that is skipped when clocks are put forward fires right after the gap. When they are put back, a time
        of the repeated hour fires once, the first time, unless the expression names every hour.
        """
        times = croniter(self.cron, after.astimezone(_zone(self.timezone)), max_years_between_matches=8)
        hours = times.expanded[HOUR_FIELD]
        every_hour = hours == ["*"] or len(hours) == HOURS
        last = after
        while True:
            local = times.get_next(datetime)
            repeated = local.replace(fold=0).utcoffset() != local.utcoffset()
            fire = local.astimezone(UTC)
            if fire > last and (every_hour or not repeated):
                last = fire
                yield fire

    def in_words(self) -> str:
        """The expression in English, such as «At 06:30»."""
        expression = ALIASES.get(self.cron.strip().lower(), self.cron)
        fields = expression.split()
        if len(fields) == FIELDS_WITH_SECONDS:  # croniter has the seconds last, the descriptor first
            expression = " ".join([fields[-1], *fields[:-1]])
        options = Options()
        options.use_24hour_time_format = True
        try:
            words: str = get_description(expression, options)
        except (FormatError, MissingFieldError, WrongArgumentError, ValueError, IndexError):
            return self.cron  # croniter knows forms, such as `L`, that the descriptor does not
        return f"{words} ({self.timezone})"

    def next_fire_time(self, *, after: datetime) -> datetime:
        return next(self.fire_times(after=after))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidError(
            f"{name!r} is not a time zone; use a name of the IANA database, such as Europe/Berlin or UTC.",
            path=("timezone",),
        ) from error

"""When a playground fires: cron expressions in a time zone, and what to do with fires that were missed."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cron_descriptor import FormatError, MissingFieldError, Options, WrongArgumentError, get_description
from croniter import HOUR_FIELD, CroniterError, croniter

from app.domain.errors import InvalidError

MAX_LENGTH = 200
FIELDS_WITH_SECONDS = 6
HOURS = 24
MAX_YEARS = 8  # the 29th of February does not come in 2100
SECOND = timedelta(seconds=1)
ON_TIME = timedelta(seconds=60)  # a fire later than this was missed: nothing was running when it was due
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
        _check(self.cron, self.timezone)

    def fire_times(self, *, after: datetime) -> Iterator[datetime]:
        """The fire times later than `after`, in UTC, without end.

        A time that is skipped when clocks are put forward fires right after the gap, unless the expression names
        every hour and a whole hour is skipped. When they are put back, a time that is told twice fires once, the
        first time, unless the expression names every hour.

        Raises: InvalidError where no further time comes within eight years.
        """
        zone = _zone(self.timezone)
        local = after.astimezone(zone)
        start = (local - _told_twice(local)).replace(tzinfo=None)
        # Without a zone: croniter's own arithmetic loses a fire where clocks change by less than an hour.
        times = croniter(self.cron, start, max_years_between_matches=MAX_YEARS)
        hours = times.expanded[HOUR_FIELD]
        every_hour = hours == ["*"] or len(hours) == HOURS
        last, again = after, deque[datetime]()  # what is told twice comes again, in the same order
        while True:
            told = self._next(times).replace(tzinfo=zone)
            fire = _first_instant(told, every_hour=every_hour)
            if fire is None:
                continue
            while again and again[0] < fire:
                last = again.popleft()
                yield last
            if fire > last:
                last = fire
                yield fire
            if every_hour and _told_twice(told):
                second = told.replace(fold=1).astimezone(UTC)
                if second > after:
                    again.append(second)

    def _next(self, times: croniter) -> datetime:
        try:
            found: datetime = times.get_next(datetime)
        except (CroniterError, OverflowError) as error:
            raise InvalidError(f"{self.cron!r} does not fire any more: {error}", path=("cron",)) from error
        return found

    def resolve(self, fire: datetime, at: datetime) -> tuple[datetime | None, datetime]:
        """The fire to run now (None: it was missed, and is let go), and the one after it."""
        if at - fire <= ON_TIME or self.makes_up(fire, at):
            return fire, self.next_fire_time(after=fire)
        latest, upcoming = self._around(fire, at)
        return latest if self.catchup is CatchupPolicy.LATEST else None, upcoming

    def makes_up(self, fire: datetime, at: datetime) -> bool:
        """Whether it is a missed fire that is run all the same, after those before it."""
        return self.catchup is CatchupPolicy.ALL and at - fire > ON_TIME

    def _around(self, fire: datetime, at: datetime) -> tuple[datetime, datetime]:
        """The last fire time up to `at`, and the next one, looked for from the end: there may be a year of minutes."""
        window = timedelta(minutes=1)
        while at - window > fire and self.next_fire_time(after=at - window) > at:
            window *= 2
        for following in self.fire_times(after=max(fire, at - window)):
            if following > at:
                return fire, following
            fire = following
        raise AssertionError

    def in_words(self) -> str:
        """The expression in English, such as «At 06:30»."""
        words = _words(self.cron)
        return self.cron if words is None else f"{words} ({self.timezone})"

    def next_fire_time(self, *, after: datetime) -> datetime:
        return next(self.fire_times(after=after))


@lru_cache(maxsize=4096)  # the descriptor reads a file of translations for every expression
def _words(cron: str) -> str | None:
    expression = ALIASES.get(cron.strip().lower(), cron)
    fields = expression.split()
    if len(fields) == FIELDS_WITH_SECONDS:  # croniter has the seconds last, the descriptor first
        expression = " ".join([fields[-1], *fields[:-1]])
    options = Options()
    options.use_24hour_time_format = True
    try:
        words: str = get_description(expression, options)
    except (FormatError, MissingFieldError, WrongArgumentError, ValueError, IndexError):
        return None  # croniter knows forms, such as `L`, that the descriptor does not
    return words


@lru_cache(maxsize=4096)  # a scheduler reads the same schedules from the database again and again
def _check(cron: str, timezone: str) -> None:
    _zone(timezone)
    if len(cron) > MAX_LENGTH:
        raise InvalidError(
            f"A cron expression has at most {MAX_LENGTH} characters; this has {len(cron)}. Ranges (0-30) and "
            f"steps (*/5) are shorter than lists.",
            path=("cron",),
        )
    fields = cron.split()
    if not cron.strip().startswith("@") and len(fields) not in {5, 6}:
        raise InvalidError(
            f"A cron expression has five fields (minute hour day month weekday), or six with seconds at the end; "
            f"{cron!r} has {len(fields)}.",
            path=("cron",),
        )
    if any(field[:1] in {"R", "r"} for field in fields):  # croniter would draw anew at every look
        raise InvalidError(f"{cron!r} has a random field (R); name the time itself.", path=("cron",))
    try:
        first = croniter(cron, datetime.now(UTC).replace(tzinfo=None), max_years_between_matches=MAX_YEARS)
        first.get_next(datetime)
    except (CroniterError, ValueError, KeyError, AttributeError) as error:
        raise InvalidError(f"{cron!r} is not a cron expression: {error}", path=("cron",)) from error


def _told_twice(told: datetime) -> timedelta:
    """By how much clocks are put back, where `told` is a time of the repeated stretch, at its first telling."""
    if told.fold:
        return timedelta()
    return max(_offset(told, fold=0) - _offset(told, fold=1), timedelta())


def _first_instant(told: datetime, *, every_hour: bool) -> datetime | None:
    """The first moment at which clocks tell this time, or the end of the gap that it falls into.

    None where it falls into a gap that swallows its whole hour, and every other hour fires as well.
    """
    if not _skipped(told):
        return told.astimezone(UTC)
    begin = told.replace(minute=0, second=0)
    if every_hour and _skipped(begin) and _skipped(begin + timedelta(minutes=59, seconds=59)):
        return None
    # The change lies between these two: read by the offset after it, and by the one before it.
    low, high = told.replace(fold=1).astimezone(UTC), told.astimezone(UTC)
    before = low.astimezone(told.tzinfo).utcoffset()
    while high - low > SECOND:
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(told.tzinfo).utcoffset() == before else (low, middle)
    return high.replace(microsecond=0)


def _skipped(told: datetime) -> bool:
    return _offset(told, fold=0) < _offset(told, fold=1)


def _offset(told: datetime, *, fold: int) -> timedelta:
    return told.replace(fold=fold).utcoffset() or timedelta()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidError(
            f"{name!r} is not a time zone; use a name of the IANA database, such as Europe/Berlin or UTC.",
            path=("timezone",),
        ) from error

"""Schedules: what is refused and in which words, and when they fire, across changes of the clocks."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import InvalidError
from app.domain.schedule import Schedule

# The zone, the days on which its clocks went forward and back, and a time of day that was skipped or told twice.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29), date(2026, 10, 25), "30 2"),
    ("America/New_York", date(2026, 3, 8), date(2026, 11, 1), "30 1"),
    ("America/New_York", date(2026, 3, 8), date(2026, 11, 1), "30 2"),
    ("Australia/Lord_Howe", date(2026, 10, 4), date(2026, 4, 5), "45 1"),  # by half an hour
    ("Australia/Lord_Howe", date(2026, 10, 4), date(2026, 4, 5), "15 2"),
]
ZONES = sorted({zone for zone, *_ in CHANGES})
DAYS = {zone: (forward, back) for zone, forward, back, _ in CHANGES}


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # the parts end before the microsecond


def fires(cron: str, *, after: datetime, count: int, timezone: str = "UTC") -> list[datetime]:
    return list(islice(Schedule(cron=cron, timezone=timezone).fire_times(after=after), count))


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "   ",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "*/0 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "a b c d e",
        "0 0 * * sun#6",
        "* * * * * 61",
        "99999999999999999999 * * * *",
        "\0 * * * *",
        "٣ * * * *",
        "@",
        "@reboot",
        "@every 5m",
        "@daily 5",
        "H * * * *",
        "R R * * *",
        "R(0-5) * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "; DROP TABLE playground",
    ],
)
def test_an_odd_expression_is_refused_in_words(cron: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        Schedule(cron=cron)
    assert refusal.value.path == ("cron",)
    assert len(refusal.value.message) > 20


def test_an_expression_longer_than_its_column_is_refused_although_it_is_right() -> None:
    minutes, hours = ",".join(map(str, range(60))), ",".join(map(str, range(24)))
    with pytest.raises(InvalidError, match="at most 200 characters"):
        Schedule(cron=f"{minutes} {hours} * * *")
    Schedule(cron=f"{minutes} * * * *")


@pytest.mark.parametrize(
    "timezone", ["", "Mars/Olympus", "Europe", "../../etc/passwd", "/etc/localtime", "a" * 500, "UTC\0", "berlin "]
)
def test_a_wrong_time_zone_is_refused_in_words(timezone: str) -> None:
    with pytest.raises(InvalidError, match="is not a time zone") as refusal:
        Schedule(cron="0 0 * * *", timezone=timezone)
    assert refusal.value.path == ("timezone",)


@settings(max_examples=300)
@given(cron=st.text(alphabet="0123456789*/,-?LW#@ RHMONjanfridly()", max_size=30) | st.text(max_size=20))
def test_whatever_is_typed_is_a_schedule_or_a_refusal(cron: str) -> None:
    try:
        schedule = Schedule(cron=cron)
    except InvalidError:
        return
    first, second = islice(schedule.fire_times(after=at(2026, 1, 1)), 2)
    assert at(2026, 1, 1) < first < second
    assert schedule.in_words()


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 6 * * *", [at(2026, 1, 1, 6, 30), at(2026, 1, 2, 6, 30)]),
        ("@daily", [at(2026, 1, 2), at(2026, 1, 3)]),
        ("@hourly", [at(2026, 1, 1, 1), at(2026, 1, 1, 2)]),
        ("0 12 * * mon", [at(2026, 1, 5, 12), at(2026, 1, 12, 12)]),
        ("0 0 31 * *", [at(2026, 1, 31), at(2026, 3, 31)]),
        ("0 0 1 */6 *", [at(2026, 7, 1), at(2027, 1, 1)]),
        ("0 0 L * *", [at(2026, 1, 31), at(2026, 2, 28)]),
        ("* * * * * */20", [at(2026, 1, 1, 0, 0, 20), at(2026, 1, 1, 0, 0, 40)]),  # seconds stand last
        ("15 10 * * * 30", [at(2026, 1, 1, 10, 15, 30), at(2026, 1, 2, 10, 15, 30)]),
        ("0 12 29 2 *", [at(2028, 2, 29, 12), at(2032, 2, 29, 12)]),
        ("0 0 L 2 *", [at(2026, 2, 28), at(2027, 2, 28)]),
        ("0 0 * * sat#2", [at(2026, 1, 10), at(2026, 2, 14)]),
        ("0 0 * * L5", [at(2026, 1, 30), at(2026, 2, 27)]),  # the last Friday
        ("0 9 15W * *", [at(2026, 1, 15, 9), at(2026, 2, 16, 9)]),  # the weekday next to the 15th
        ("0 0 28-31 * *", [at(2026, 1, 28), at(2026, 1, 29)]),
        ("0 0 1 * mon", [at(2026, 1, 5), at(2026, 1, 12)]),  # the first, or a Monday
        ("0 0 */10 * mon", [at(2026, 1, 5), at(2026, 1, 11)]),
        ("0 0 ? * mon", [at(2026, 1, 5), at(2026, 1, 12)]),
        ("0 0 31 * sun", [at(2026, 1, 4), at(2026, 1, 11)]),
        ("0 0 * * 7", [at(2026, 1, 4), at(2026, 1, 11)]),
        ("0 0 * jan,jul mon-fri", [at(2026, 1, 2), at(2026, 1, 5)]),
        ("0 0 * * fri-mon", [at(2026, 1, 2), at(2026, 1, 3)]),  # ranges wrap
        ("0 22-2 * * *", [at(2026, 1, 1, 1), at(2026, 1, 1, 2)]),
        ("50-10/10 * * * *", [at(2026, 1, 1, 0, 10), at(2026, 1, 1, 0, 50)]),
        ("0 0 1 nov-feb *", [at(2026, 2, 1), at(2026, 11, 1)]),
        ("10-20/5 8 * * *", [at(2026, 1, 1, 8, 10), at(2026, 1, 1, 8, 15)]),
        ("58/7 * * * *", [at(2026, 1, 1, 0, 58), at(2026, 1, 1, 1, 58)]),
        ("*/40 * * * *", [at(2026, 1, 1, 0, 40), at(2026, 1, 1, 1)]),  # a step begins anew with each hour
        ("@weekly", [at(2026, 1, 4), at(2026, 1, 11)]),
        ("@monthly", [at(2026, 2, 1), at(2026, 3, 1)]),
        ("@yearly", [at(2027, 1, 1), at(2028, 1, 1)]),
        ("@annually", [at(2027, 1, 1), at(2028, 1, 1)]),
        ("@midnight", [at(2026, 1, 2), at(2026, 1, 3)]),
    ],
)
def test_minute_hour_day_month_and_weekday_count(cron: str, expected: list[datetime]) -> None:
    assert fires(cron, after=at(2026, 1, 1), count=2) == expected


def test_the_29th_of_february_is_found_across_the_year_2100_that_has_none() -> None:
    assert fires("0 0 29 2 *", after=at(2095, 1, 1), count=2) == [at(2096, 2, 29), at(2104, 2, 29)]


@pytest.mark.parametrize(("zone", "forward", "back", "time"), CHANGES)
def test_a_daily_fire_is_neither_lost_nor_doubled_when_the_clocks_change(
    zone: str, forward: date, back: date, time: str
) -> None:
    for day in (forward, back):
        start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) - timedelta(days=3)
        found = fires(f"{time} * * *", after=start.astimezone(UTC), count=7, timezone=zone)
        days = [fire.astimezone(ZoneInfo(zone)).date() for fire in found]
        assert days == [start.date() + timedelta(days=n) for n in range(7)]


@pytest.mark.parametrize(("zone", "back", "hour"), [("Europe/Berlin", date(2026, 10, 25), 2)])
def test_a_list_of_hours_fires_each_time_of_day_once_when_the_clocks_go_back(zone: str, back: date, hour: int) -> None:
    start = datetime(back.year, back.month, back.day, tzinfo=ZoneInfo(zone))
    found = fires(f"*/30 1,{hour},3 * * *", after=start.astimezone(UTC) - timedelta(seconds=1), count=6, timezone=zone)
    told = [fire.astimezone(ZoneInfo(zone)).strftime("%H:%M") for fire in found]
    assert told == ["01:00", "01:30", "02:00", "02:30", "03:00", "03:30"]


@pytest.mark.parametrize("hours", ["*", "0-23"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_an_hourly_fire_comes_every_hour_whatever_the_clocks_say(zone: str, hours: str) -> None:
    for start in (at(2026, 3, 7), at(2026, 3, 28), at(2026, 10, 24), at(2026, 10, 31)):
        found = fires(f"0 {hours} * * *", after=start, count=60, timezone=zone)
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


def test_a_time_that_the_clocks_skip_fires_right_after_the_gap() -> None:
    found = fires("30 2 29 3 *", after=at(2026, 3, 1), count=1, timezone="Europe/Berlin")
    assert found == [at(2026, 3, 29, 1)]  # 03:00 in Berlin


@pytest.mark.parametrize("cron", ["15 * * * *", "45 0-23 * * *"])
def test_an_hourly_fire_is_not_lost_where_the_clocks_skip_half_an_hour(cron: str) -> None:
    found = fires(cron, after=at(2026, 10, 3, 14), count=6, timezone="Australia/Lord_Howe")
    assert all(later - earlier <= timedelta(hours=1) for earlier, later in pairwise(found))
    assert len({fire.astimezone(ZoneInfo("Australia/Lord_Howe")).hour for fire in found}) == 6


@pytest.mark.parametrize("zone", ZONES)
def test_every_time_of_day_fires_once_on_each_day_around_a_change(zone: str) -> None:
    for day in DAYS[zone]:
        start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) - timedelta(days=1, minutes=1)
        for minute in range(0, 24 * 60, 15):
            cron = f"{minute % 60} {minute // 60} * * *"
            found = fires(cron, after=start.astimezone(UTC), count=3, timezone=zone)
            days = [(fire.astimezone(ZoneInfo(zone)) - start).days for fire in found]
            assert days == [0, 1, 2], cron


@pytest.mark.parametrize("zone", ZONES)
def test_a_fire_every_quarter_of_an_hour_keeps_its_pace_whatever_the_clocks_say(zone: str) -> None:
    for day in DAYS[zone]:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
        found = fires("*/15 * * * *", after=start, count=3 * 96, timezone=zone)
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=15)}


@pytest.mark.parametrize("cron", ["*/30 * * * *", "15,45 1-3 * * *", "0 */2 * * *", "0 2 L * *"])
@pytest.mark.parametrize("zone", ZONES)
def test_looking_from_any_moment_gives_the_same_times(cron: str, zone: str) -> None:
    schedule = Schedule(cron=cron, timezone=zone)
    for day in DAYS[zone]:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
        expected = list(islice(schedule.fire_times(after=start), 40))
        for earlier, later in pairwise(expected):
            middle = earlier + (later - earlier) / 2
            assert schedule.next_fire_time(after=earlier) == later
            assert schedule.next_fire_time(after=middle) == later
            assert schedule.next_fire_time(after=later - timedelta(microseconds=1)) == later


def test_a_day_that_a_zone_has_left_out_is_made_up_for_at_its_end() -> None:
    found = fires("30 6 * * *", after=at(2011, 12, 29), count=4, timezone="Pacific/Apia")  # it had no 30th
    told = [fire.astimezone(ZoneInfo("Pacific/Apia")).strftime("%d %H:%M") for fire in found]
    assert told == ["29 06:30", "31 00:00", "31 06:30", "01 06:30"]


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("30 6 * * *", "At 06:30 (Europe/Berlin)"),
        ("@daily", "At 00:00 (Europe/Berlin)"),
        ("0 6 * * * 30", "At 06:00:30 (Europe/Berlin)"),
    ],
)
def test_a_schedule_is_told_in_words(cron: str, words: str) -> None:
    assert Schedule(cron=cron, timezone="Europe/Berlin").in_words() == words

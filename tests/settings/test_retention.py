"""Retention in the settings: off unless it is asked for, and checked as every other value."""

from datetime import timedelta

import pytest

from app.settings import Settings, SettingsError

DATABASE = {"DATA_PHANTOM__META_STORE__URL": "sqlite:///x.db", "DATA_PHANTOM__META_STORE__PASSWORD": "x"}


def load(**retention: str) -> Settings:
    keys = {f"DATA_PHANTOM__RETENTION__{name.upper()}": value for name, value in retention.items()}
    return Settings.load(None, {**DATABASE, **keys})


def test_nothing_is_pruned_by_default() -> None:
    assert not load().retention.rules


def test_each_rule_is_read_by_its_own_key() -> None:
    rules = load(max_age="90d", max_runs="500", max_log_age="30d", max_output_age="12h").retention.rules
    assert rules
    assert (rules.max_age, rules.max_runs) == (timedelta(days=90), 500)
    assert (rules.max_log_age, rules.max_output_age) == (timedelta(days=30), timedelta(hours=12))


@pytest.mark.parametrize(
    ("key", "value"), [("max_age", "30s"), ("max_runs", "0"), ("max_log_age", "90"), ("interval", "2d")]
)
def test_a_value_out_of_range_stops_the_start(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"retention.{key}"):
        load(**{key: value})

"""The units of scripts/examples start what there is, wait long enough for its end, and are units that systemd reads."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from app.platform_commands import platform
from app.settings.worker import WorkerSettings
from tests.support.platform import PROGRAM

EXAMPLES = Path(__file__).parents[2] / "scripts" / "examples"
COMMON = EXAMPLES / "data-phantom-.service.d" / "common.conf"
INSTALLED = "/opt/data-phantom/bin/data-phantom"
UNITS = sorted(path.name for path in EXAMPLES.glob("*.service"))


def values(path: Path, key: str) -> list[str]:
    return [line.partition("=")[2] for line in path.read_text().splitlines() if line.startswith(f"{key}=")]


def test_there_is_a_unit_for_every_part() -> None:
    parts = [command.split() for unit in UNITS for command in values(EXAMPLES / unit, "ExecStart")]
    assert sorted(parts) == [[INSTALLED, "scheduler"], [INSTALLED, "serve"], [INSTALLED, "worker"]]
    commands = [command.split() for unit in UNITS for command in values(EXAMPLES / unit, "ExecStartPre")]
    assert commands == [[INSTALLED, "migrate"]]
    assert {part for _, part in (*parts, *commands)} <= get_command(platform).commands.keys()  # type: ignore[attr-defined]  # a group


def test_a_worker_is_given_more_time_to_stop_than_its_grace() -> None:
    (patience,) = values(EXAMPLES / "data-phantom-worker@.service", "TimeoutStopSec")
    assert int(patience) > WorkerSettings().shutdown_grace.total_seconds() * 2
    assert not values(COMMON, "TimeoutStopSec"), "it would win over the unit's own"
    assert values(COMMON, "KillMode") == ["mixed"], "its children are the worker's to end"


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_complain_of(unit: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    text = (EXAMPLES / unit).read_text()
    assert "[Unit]" in text
    assert "[Install]" in text
    if analyze is None:
        return  # a container without systemd; the rest is looked at all the same
    shutil.copytree(COMMON.parent, tmp_path / COMMON.parent.name)
    copy = tmp_path / unit.replace("@", "@1")
    copy.write_text(text.replace(INSTALLED, PROGRAM))
    done = subprocess.run(
        [analyze, "verify", copy],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "data-phantom" in line]
    assert (done.returncode, complaints) == (0, [])

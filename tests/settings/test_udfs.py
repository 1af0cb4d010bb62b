"""How large JARs may be, and where copies of them lie."""

from pathlib import Path

import pytest

from app.settings import Settings, SettingsError
from app.settings.udfs import UdfSettings


def udfs(folder: Path, **values: str) -> UdfSettings:
    env = {f"DATA_PHANTOM__UDFS__{name.upper()}": value for name, value in values.items()}
    return Settings.embedded(folder, env=env).udfs


def test_jars_have_fifty_megabytes_where_nothing_is_said(tmp_path: Path) -> None:
    assert udfs(tmp_path).max_jar_size == 50_000_000
    assert udfs(tmp_path, max_jar_size="1.5GB").max_jar_size == 1_500_000_000


def test_the_cache_is_where_the_settings_say(tmp_path: Path) -> None:
    assert udfs(tmp_path).cache_directory == tmp_path / "jars"
    assert udfs(tmp_path, cache_directory=str(tmp_path / "c")).cache_directory == tmp_path / "c"


@pytest.mark.parametrize("size", ["0", "1023", "3GiB", "many"])
def test_a_size_that_makes_no_sense_is_told_with_what_is_permitted(tmp_path: Path, size: str) -> None:
    with pytest.raises(SettingsError) as refused:
        udfs(tmp_path, max_jar_size=size)
    (fault,) = refused.value.faults
    assert fault.path == "udfs.max_jar_size"
    assert "1KiB to 2GiB" in (fault.permitted or "")

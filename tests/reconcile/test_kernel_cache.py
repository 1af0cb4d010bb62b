"""An account that may write nowhere compares all the same: its kernels are compiled for the one comparison."""

import os
from pathlib import Path

import pytest

from app.reconcile.kernel_cache import VARIABLE, kernel_cache


def test_without_a_place_to_keep_kernels_there_is_one_for_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with kernel_cache():
        folder = Path(os.environ[VARIABLE])
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    assert VARIABLE not in os.environ


def test_a_place_that_there_is_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with kernel_cache():
        assert os.environ[VARIABLE] == str(tmp_path)
    assert os.environ[VARIABLE] == str(tmp_path)

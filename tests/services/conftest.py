"""Fixtures of the services' tests."""

from datetime import timedelta

import pytest

from app.services import retention as retention_module


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses, and pieces so small that there are many."""
    monkeypatch.setattr(retention_module, "PAUSE", timedelta())
    monkeypatch.setattr(retention_module, "BATCH", 2)
    monkeypatch.setattr(retention_module, "ROWS", 3)

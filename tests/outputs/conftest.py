"""A local store in a folder of the test's own."""

from pathlib import Path

import pytest

from app.outputs.local import LocalOutputStore


@pytest.fixture
def store(tmp_path: Path) -> LocalOutputStore:
    return LocalOutputStore(root=tmp_path / "outputs")

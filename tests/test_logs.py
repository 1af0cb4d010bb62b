"""What a process writes of an exception: where it came from, and nothing that its frames hold."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from app.logs import configure_logging
from app.settings import LogFormat, LogSettings

SECRET = "swordfish"


@pytest.fixture
def untouched() -> Iterator[None]:
    """The logging of the test run itself is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("format_", LogFormat)
def test_a_traceback_does_not_show_the_variables_of_its_frames(
    format_: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(password: str) -> None:
        raise ConnectionError("refused" if password else "")

    configure_logging(LogSettings(format=format_))
    log = structlog.get_logger("a part")
    try:
        connect(SECRET)
    except ConnectionError:
        log.exception("part.failed")
    told = capsys.readouterr().err
    assert "ConnectionError: refused" in told
    assert SECRET not in told

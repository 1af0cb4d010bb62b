"""Logging: structlog over the standard library, as text for people or JSON lines for machines."""

import logging
import sys
from typing import Any

import structlog

from app.settings import LogFormat, LogSettings

QUIET = ("alembic", "asyncio", "httpx", "uvicorn", "websockets", "aiosqlite")


def configure_logging(settings: LogSettings, *, quiet: bool = False) -> None:
    """Once, at the start of a process; everything goes to standard error."""
    level = logging.ERROR if quiet else logging.getLevelName(settings.level)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    json = settings.format is LogFormat.JSON
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json
        # The renderer's own tracebacks show the variables of every frame, passwords among them.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    if json:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("asyncmy").setLevel(logging.ERROR)  # it repeats every note of the server as a warning
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # a lost connection is told where it was used
    logging.getLogger("arq").setLevel(logging.CRITICAL)  # jobs tell of themselves; to arq a stopped worker is an error
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)

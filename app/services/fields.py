"""The columns that texts give, before they are run: a text's `*` stands for what the catalogue of its engine tells."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from app.domain.errors import DomainError
from app.domain.fields import QueryFields, Tables, query_fields, tables_behind_stars
from app.domain.tasks import TaskType
from app.domain.templates import is_template, render_sample
from app.engines.base import Catalogued, EngineError
from app.engines.registry import EngineRegistry
from app.models import Playground
from app.services.rendering import sample_scope

PATIENCE = 2.0  # seconds for an engine to tell its columns; without them the rest is told

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldsAsked:
    """A text and where it would run; a template is read with the playground's values, or with samples."""

    type: TaskType
    text: str
    connection: str | None = None
    playground: Playground | None = None

    @property
    def playground_id(self) -> UUID | None:
        return None if self.playground is None else self.playground.id


@dataclass(frozen=True, kw_only=True, slots=True)
class _Text:
    text: str
    problem: str | None
    tables: frozenset[str]


class FieldService:
    def __init__(self, *, engines: EngineRegistry) -> None:
        self._engines = engines

    async def fields(self, asked: Sequence[FieldsAsked]) -> list[QueryFields]:
        """The columns of each; an engine is asked once for all texts of a playground."""
        # In threads: reading a long text takes seconds, and the event loop serves everybody else.
        texts = await asyncio.to_thread(lambda: [_read(each) for each in asked])
        wanted: dict[tuple[str, UUID | None], set[str]] = defaultdict(set)
        places = [self._place(each) for each in asked]
        for place, text in zip(places, texts, strict=True):
            if text.tables:
                wanted[place] |= text.tables
        found = await asyncio.gather(*(self._columns(*place, sorted(names)) for place, names in wanted.items()))
        known = dict(zip(wanted, found, strict=True))
        return await asyncio.to_thread(
            lambda: [
                _fields(each, text, known.get(place, {}))
                for each, text, place in zip(asked, texts, places, strict=True)
            ]
        )

    def _place(self, asked: FieldsAsked) -> tuple[str, UUID | None]:
        return self._engines.lane_of(asked.type, asked.connection), asked.playground_id

    async def _columns(self, lane: str, playground_id: UUID | None, tables: Sequence[str]) -> Tables:
        engine = next((engine for engine in self._engines.all() if engine.name == lane), None)
        if not isinstance(engine, Catalogued):
            return {}
        try:
            async with asyncio.timeout(PATIENCE):
                return _lowered(await engine.columns(tables, playground_id=playground_id))
        except (EngineError, TimeoutError) as error:
            log.info("fields.catalogue_silent", engine=lane, reason=str(error))
            return {}


def _lowered(columns: Mapping[str, Sequence[str]]) -> Tables:
    return {name.lower(): names for name, names in columns.items()}


def _read(asked: FieldsAsked) -> _Text:
    text = asked.text
    if is_template(text):
        try:
            text = render_sample(text, type=asked.type, scope=sample_scope(asked.playground))
        except DomainError as error:
            return _Text(text=text, problem=error.message, tables=frozenset())
    return _Text(text=text, problem=None, tables=tables_behind_stars(asked.type, text))


def _fields(asked: FieldsAsked, text: _Text, tables: Tables) -> QueryFields:
    if text.problem is not None:
        return QueryFields(complete=False, problem=text.problem)
    return query_fields(asked.type, text.text, tables=tables)

"""The engines of this process, by language and by name."""

from collections.abc import Sequence
from uuid import UUID

from app.domain.errors import InvalidError, UnavailableError
from app.domain.tasks import TaskType
from app.engines.base import Engine


class EngineRegistry:
    """The first engine given for a language is its default one."""

    def __init__(self, *, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)

    def all(self) -> Sequence[Engine]:
        return self._engines

    def engine_for(self, type: TaskType, connection: str | None) -> Engine:
        """Raises: InvalidError for a name that no engine of this language has; UnavailableError where there is none."""
        speaking = [engine for engine in self._engines if type in engine.types]
        if connection is None:
            if not speaking:
                raise UnavailableError(
                    f"No engine is configured for {type} tasks: name one under `connector` in the settings, or switch "
                    f"the embedded engine on."
                )
            return speaking[0]
        for engine in speaking:
            if engine.name == connection:
                return engine
        names = ", ".join(sorted(engine.name for engine in speaking)) or "none"
        raise InvalidError(
            f"There is no connection {connection!r} for {type} tasks; these exist: {names}.", path=("connection",)
        )

    def lane_of(self, type: TaskType, connection: str | None) -> str:
        """The name of the engine that would run it; empty where there is none, which the attempt will say."""
        try:
            return self.engine_for(type, connection).name
        except (InvalidError, UnavailableError):
            return ""

    async def forget(self, playground_id: UUID) -> None:
        for engine in self._engines:
            await engine.forget(playground_id)

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

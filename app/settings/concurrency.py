"""How much runs at a time, and how often the scheduler looks; numbers of time are milliseconds, as specified."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from app.domain.dispatch import Limits, Pool
from app.settings.section import Section

PoolSize = Annotated[int, Field(ge=1, le=1000)]
Limit = Annotated[int, Field(ge=1, le=100_000)]
_DAY_MS = 86_400_000


class ConcurrencySettings(Section):
    """The pool sizes are tasks at once in one worker process, of ad hoc runs and of scheduled ones.

    The `max_tasks_…` are tasks at once in the whole platform; `connection_max_tasks` names connections of their own.
    """

    adhoc_threadpool_size: PoolSize = 200
    scheduled_threadpool_size: PoolSize = 200
    max_tasks_per_user: Limit | None = None
    max_tasks_per_playground: Limit | None = None
    max_tasks_per_connection: Limit | None = None
    connection_max_tasks: dict[str, Limit] = Field(default_factory=dict)
    scheduler_sleep_time: Annotated[int, Field(ge=1000, le=_DAY_MS)] = 300_000
    playground_execution_grace_period: Annotated[int, Field(ge=0, le=_DAY_MS)] = 300_000
    playground_max_execution_frequency: Annotated[int, Field(ge=0, le=_DAY_MS)] = 360_000

    @property
    def pools(self) -> dict[Pool, int]:
        return {Pool.ADHOC: self.adhoc_threadpool_size, Pool.SCHEDULED: self.scheduled_threadpool_size}

    @property
    def limits(self) -> Limits:
        return Limits(
            per_user=self.max_tasks_per_user,
            per_playground=self.max_tasks_per_playground,
            per_lane=self.max_tasks_per_connection,
            lanes=self.connection_max_tasks,
        )

    @property
    def scheduler_sleep(self) -> timedelta:
        """The longest sleep between two looks for what is stuck; for what is due, a scheduler looks each second."""
        return timedelta(milliseconds=self.scheduler_sleep_time)

    @property
    def execution_grace(self) -> timedelta:
        """How long nothing has happened in a run that counts as stuck, and is set going again."""
        return timedelta(milliseconds=self.playground_execution_grace_period)

    @property
    def min_execution_interval(self) -> timedelta:
        """The least time between two scheduled runs of one playground."""
        return timedelta(milliseconds=self.playground_max_execution_frequency)

"""A worker process: how many tasks it holds, how it shows that it lives, how long it may take to stop."""

from datetime import timedelta
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field, model_validator

from app.settings.duration import Duration
from app.settings.section import Section, cross_fault

_MS = timedelta(milliseconds=1)
_BEATS_IN_A_LEASE = 3  # one lost heartbeat, or two, must not hand a living worker's task to another


class WorkerSettings(Section):
    """`max_tasks`: at once in one process, ad hoc and scheduled together; as many as the two pools where not given."""

    max_tasks: Annotated[int, Field(ge=1, le=1000)] | None = None
    heartbeat_interval: Annotated[Duration, Ge(50 * _MS), Le(300_000 * _MS)] = 1_000 * _MS
    lease: Annotated[Duration, Ge(200 * _MS), Le(3_600_000 * _MS)] = 15_000 * _MS
    shutdown_grace: Annotated[Duration, Ge(0 * _MS), Le(3_600_000 * _MS)] = 10_000 * _MS

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> "WorkerSettings":
        if self.lease < self.heartbeat_interval * _BEATS_IN_A_LEASE:
            raise cross_fault("lease", f"it must be at least {_BEATS_IN_A_LEASE} times heartbeat_interval")
        return self

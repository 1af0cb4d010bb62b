"""How long what has ended is kept. Nothing is ever deleted where nothing is said here."""

from datetime import timedelta
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field

from app.domain.retention import Rules
from app.settings.duration import Duration
from app.settings.section import Section

_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=36_500)
Age = Annotated[Duration, Ge(_MINUTE), Le(_LONGEST)]


class RetentionSettings(Section):
    """`max_age` and `max_runs` (of a playground, and of a reconciliation) delete runs with all that belongs to them.

    `max_log_age` and `max_output_age` delete the log lines and the result files of runs that are kept. Every
    playground keeps its newest run and its newest successful one, and every task its newest successful output.
    """

    max_age: Age | None = None
    max_runs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_log_age: Age | None = None
    max_output_age: Age | None = None
    interval: Annotated[Duration, Ge(timedelta(seconds=1)), Le(timedelta(days=1))] = timedelta(hours=1)

    @property
    def rules(self) -> Rules:
        return Rules(
            max_age=self.max_age,
            max_runs=self.max_runs,
            max_log_age=self.max_log_age,
            max_output_age=self.max_output_age,
        )

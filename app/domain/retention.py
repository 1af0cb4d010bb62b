"""What is kept of what has ended, and for how long."""

from dataclasses import dataclass
from datetime import timedelta

SETTLED = timedelta(minutes=10)  # whoever follows a run has seen its end by then


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """None keeps for ever."""

    max_age: timedelta | None = None
    max_runs: int | None = None
    max_log_age: timedelta | None = None
    max_output_age: timedelta | None = None

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.max_age, self.max_runs, self.max_log_age, self.max_output_age))

    @property
    def youngest(self) -> timedelta | None:
        """The age from which on some rule looks at a run; None where no rule asks for an age."""
        ages = [age for age in (self.max_age, self.max_log_age, self.max_output_age) if age is not None]
        return max(min(ages), SETTLED) if ages else None

    def deletes(self, age: timedelta, *, newer: int) -> bool:
        """Whether a run of this age goes, when there are so many newer ones."""
        by_age = self.max_age is not None and age > self.max_age
        by_count = self.max_runs is not None and newer >= self.max_runs
        return age > SETTLED and (by_age or by_count)

    def deletes_logs(self, age: timedelta) -> bool:
        return self.max_log_age is not None and age > max(self.max_log_age, SETTLED)

    def deletes_outputs(self, age: timedelta) -> bool:
        return self.max_output_age is not None and age > max(self.max_output_age, SETTLED)

"""Types of data quality checks, and of what outputs come to by them."""

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
from app.domain.checks.checks import CheckSeverity, DataCheckKind
from app.domain.checks.checks import DataCheck as DataCheckValue
from app.domain.checks.results import CheckResult
from app.graphql.scalars import BigInt, JsonValue


@strawberry.type(description="What is asked of a task's output whenever it is there.")
class DataCheck:
    kind: DataCheckKind = strawberry.field(description="What it asks.")
    column: str | None = strawberry.field(description="The label of the column that it is about.")
    arguments: JsonValue = strawberry.field(description="An object with the kind's own arguments.")
    severity: CheckSeverity = strawberry.field(description="What follows where it fails.")

    @classmethod
    def of(cls, value: DataCheckValue) -> "DataCheck":
        return cls(kind=value.kind, column=value.column, arguments=JsonValue(value.arguments), severity=value.severity)


@strawberry.type(description="What an output came to by a check.")
class DataCheckResult:
    check: DataCheck = strawberry.field(description="The check as it was when the run started.")
    passed: bool = strawberry.field(description="False also where it could not be run, for want of its column perhaps.")
    failing_row_count: BigInt = strawberry.field(
        description="How many rows fail; 0 where a check is not about single rows, or could not be run."
    )
    message: str = strawberry.field(description="What was found, in words.")

    @classmethod
    def of(cls, value: CheckResult) -> "DataCheckResult":
        return cls(
            check=DataCheck.of(value.check),
            passed=value.passed,
            failing_row_count=BigInt(value.failing_row_count),
            message=value.message,
        )


@strawberry.input(description="A check to be.")
class DataCheckInput:
    kind: DataCheckKind = strawberry.field(description="What it asks.")
    column: str | None = strawberry.field(
        default=None, description="The label of the column that it is about; none for ROW_COUNT and SQL."
    )
    arguments: JsonValue | None = strawberry.field(
        default=None, description="An object with the kind's own arguments, such as {min: 0, max: 100}."
    )
    severity: CheckSeverity | None = strawberry.field(
        default=CheckSeverity.ERROR, description="What follows where it fails."
    )

    def to_value(self) -> DataCheckValue:
        return DataCheckValue(
            kind=self.kind,
            column=self.column,
            arguments={} if self.arguments is None else self.arguments,  # type: ignore[arg-type]  # the domain looks
            severity=self.severity or CheckSeverity.ERROR,
        )


@strawberry.input(description="The checks of a task's output; a run that is on goes on with the old ones.")
class SetTaskChecksInput:
    task_id: strawberry.ID = strawberry.field(description="Which task.")
    checks: list[DataCheckInput] = strawberry.field(description="All of them, in order; none takes them away.")

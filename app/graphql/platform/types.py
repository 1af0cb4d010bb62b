"""Types of engines' connections and of the platform's health."""

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
from app.domain.tasks import TaskType
from app.graphql.scalars import BigInt


@strawberry.type(description="An engine that is configured.")
class EngineConnection:
    name: str = strawberry.field(description="What a task names to use it.")
    type: TaskType = strawberry.field(description="The language that it runs.")
    kind: str = strawberry.field(description="EMBEDDED, DIRECT or EMR.")
    healthy: bool = strawberry.field(description="Whether work could be submitted now.")
    message: str | None = strawberry.field(description="What there is to say about it.")


@strawberry.type(description="Whether the platform's parts are well.")
class Health:
    database: bool = strawberry.field(description="Whether the metadata database answers.")
    redis: bool = strawberry.field(description="Whether Redis answers; without it work is slower, and not lost.")
    workers: int = strawberry.field(description="Workers that have shown a sign of life.")
    scheduler_lag_ms: BigInt = strawberry.field(description="How long the scheduler has been silent or behind.")

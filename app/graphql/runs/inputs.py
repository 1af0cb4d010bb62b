"""Inputs of the mutations of runs."""

import strawberry

from app.graphql.playgrounds.parameters import ParameterInput


@strawberry.input(description="What to run.")
class RunPlaygroundInput:
    playground_id: strawberry.ID = strawberry.field(description="Which playground.")
    task_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only these tasks; the others are skipped, and the order among these holds."
    )
    parameters: list[ParameterInput] | None = strawberry.field(
        default=None, description="Other values for some of the playground's parameters, for this run."
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key gives back the run that it made."
    )


@strawberry.input(description="The run to cancel.")
class CancelRunInput:
    run_id: strawberry.ID = strawberry.field(description="Which run.")


@strawberry.input(description="The run to go on with.")
class ResumeRunInput:
    run_id: strawberry.ID = strawberry.field(description="Which run; it has ended.")

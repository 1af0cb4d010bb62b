"""Inputs of reconciliations."""

import strawberry

from app.domain.errors import InvalidError
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions
from app.graphql.node import given
from app.graphql.scalars import BigInt


@strawberry.input(description="A column of the left side and its counterpart.")
class ColumnMappingInput:
    left: str = strawberry.field(description="The left side's label.")
    right: str = strawberry.field(description="The right side's label.")
    key: bool | None = strawberry.field(default=False, description="Whether it helps to name a row.")

    def value(self) -> ColumnMapping:
        return ColumnMapping(left=self.left, right=self.right, key=bool(self.key))


@strawberry.input(description="How much may differ for the outcome to count as matched.")
class PassRuleInput:
    max_differing_rows: BigInt | None = strawberry.field(default=BigInt(0), description="0 leaves it unset.")
    max_differing_percent: float | None = strawberry.field(default=0.0, description="0 to 100; 0 leaves it unset.")


@strawberry.input(description="What counts as equal, and how the answer is found.")
class ReconciliationOptionsInput:
    absolute_tolerance: float | None = strawberry.field(default=0.0, description="Numbers this near are equal.")
    relative_tolerance: float | None = strawberry.field(default=0.0, description="0.01 is 1 %.")
    ignore_case: bool | None = strawberry.field(default=False, description="Whether case makes no difference.")
    trim: bool | None = strawberry.field(default=False, description="Whether white space around is left out.")
    empty_is_null: bool | None = strawberry.field(default=False, description="Whether the empty text is NULL.")
    method: ReconciliationMethod | None = strawberry.field(default=None, description="Null chooses by size.")
    verify: bool | None = strawberry.field(default=True, description="False with BLOOM: quick, with an error bound.")
    pass_when: PassRuleInput | None = strawberry.field(default=None, description="How much may differ.")

    def value(self) -> ReconciliationOptions:
        """Raises: InvalidError with a path below `options`."""
        rule = self.pass_when or PassRuleInput()
        try:
            return ReconciliationOptions(
                absolute_tolerance=self.absolute_tolerance or 0.0,
                relative_tolerance=self.relative_tolerance or 0.0,
                ignore_case=bool(self.ignore_case),
                trim=bool(self.trim),
                empty_is_null=bool(self.empty_is_null),
                method=self.method,
                verify=self.verify is not False,
                pass_when=PassRule(
                    max_differing_rows=rule.max_differing_rows or 0,
                    max_differing_percent=rule.max_differing_percent or 0.0,
                ),
            )
        except InvalidError as error:
            raise InvalidError(error.message, path=("options", *error.path)) from error


@strawberry.input(description="A new reconciliation.")
class CreateReconciliationInput:
    playground_id: strawberry.ID = strawberry.field(description="Where it belongs.")
    left_task_id: strawberry.ID = strawberry.field(description="The task of the left side.")
    right_task_id: strawberry.ID = strawberry.field(description="The task of the right side.")
    mapping: list[ColumnMappingInput] = strawberry.field(description="Which columns belong together.")
    options: ReconciliationOptionsInput | None = strawberry.field(default=None, description="What counts as equal.")


@strawberry.input(description="Changes of a reconciliation; what is left out stays as it is.")
class UpdateReconciliationInput:
    reconciliation_id: strawberry.ID = strawberry.field(description="Which reconciliation.")
    mapping: list[ColumnMappingInput] | None = strawberry.field(
        default=strawberry.UNSET, description="The whole mapping anew."
    )
    options: ReconciliationOptionsInput | None = strawberry.field(
        default=strawberry.UNSET, description="All options anew."
    )

    def mapping_value(self) -> list[ColumnMapping] | None:
        mapping = given(self.mapping)
        return None if mapping is None else [pair.value() for pair in mapping]

    def options_value(self) -> ReconciliationOptions | None:
        options = given(self.options)
        return None if options is None else options.value()


@strawberry.input(description="The reconciliation to delete.")
class DeleteReconciliationInput:
    reconciliation_id: strawberry.ID = strawberry.field(description="Which reconciliation.")


@strawberry.input(description="What to compare; without task runs, the newest successful outputs.")
class RunReconciliationInput:
    reconciliation_id: strawberry.ID = strawberry.field(description="Which reconciliation.")
    left_task_run_id: strawberry.ID | None = strawberry.field(default=None, description="The left output.")
    right_task_run_id: strawberry.ID | None = strawberry.field(default=None, description="The right output.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key gives back the run that it made."
    )


@strawberry.input(description="The reconciliation run to cancel.")
class CancelReconciliationRunInput:
    reconciliation_run_id: strawberry.ID = strawberry.field(description="Which run.")

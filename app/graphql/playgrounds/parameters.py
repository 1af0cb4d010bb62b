"""Types of a playground's parameters."""

from collections.abc import Mapping, Sequence

import strawberry

from app.domain.parameters import ParameterValue as Value
from app.graphql.scalars import ParameterValue


@strawberry.type(description="A named value that may stand in the texts of a playground's tasks, as `{{ name }}`.")
class Parameter:
    name: str = strawberry.field(description="A letter, and then letters, digits and underscores.")
    value: ParameterValue = strawberry.field(description="A text, a number or a boolean.")

    @classmethod
    def of(cls, parameters: Mapping[str, Value] | None) -> "list[Parameter]":
        return [cls(name=name, value=ParameterValue(value)) for name, value in (parameters or {}).items()]


@strawberry.input(description="A named value.")
class ParameterInput:
    name: str = strawberry.field(description="A letter, and then letters, digits and underscores, at most 64.")
    value: ParameterValue = strawberry.field(description="A text, a number or a boolean.")


def pairs_of(parameters: Sequence[ParameterInput] | None) -> list[tuple[str, Value]]:
    return [(each.name, _value(each)) for each in parameters or ()]


def _value(parameter: ParameterInput) -> Value:
    value = parameter.value
    assert isinstance(value, str | int | float)  # noqa: S101 - the scalar lets nothing else pass
    return value

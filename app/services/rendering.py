"""The texts of tasks with their values: what a playground's texts may name, and the check at the door."""

from collections.abc import Mapping, Sequence

from app.domain.errors import ConflictError, DomainError
from app.domain.identity import utc_now
from app.domain.parameters import ParameterValue
from app.domain.status import RunTrigger
from app.domain.tasks import TaskType
from app.domain.templates import PlaygroundFacts, RunFacts, Scope, is_template, render
from app.models import Playground, Task

SAMPLE_NAME = "playground"


def sample_scope(playground: Playground | None, parameters: Mapping[str, ParameterValue] | None = None) -> Scope:
    """What the texts of a playground would be rendered with if it were run now."""
    own = {} if playground is None else playground.parameters or {}
    return Scope(
        scheduled_for=utc_now().replace(microsecond=0),
        run=RunFacts(number=1 if playground is None else playground.last_run_number + 1, trigger=RunTrigger.AD_HOC),
        playground=PlaygroundFacts(name=SAMPLE_NAME if playground is None else playground.name),
        parameters=own if parameters is None else parameters,
    )


def check_query(query: str, *, type: TaskType, playground: Playground) -> None:
    """Refuse a text that could not be rendered now.

    Raises: InvalidError with line and column, TooLargeError.
    """
    if is_template(query):
        render(query, type=type, scope=sample_scope(playground))


def check_texts(tasks: Sequence[Task], scope: Scope, *, path: tuple[str, ...]) -> None:
    """Refuse names and values with which the text of one of the tasks could not be rendered.

    Raises: ConflictError naming the task.
    """
    for task in tasks:
        if not is_template(task.query):
            continue
        try:
            render(task.query, type=task.type, scope=scope)
        except DomainError as error:
            raise ConflictError(f"Task «{task.name}» could not be run. {error.message}", path=path) from error

"""The one cluster that steps go to: the stack's own, brought up by an update of the stack where it is down."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from app.aws.cluster import ClusterFacts, EmrClusters
from app.aws.errors import TerminalAwsError, TransientAwsError
from app.aws.stack import Stack, StackFacts
from app.engines.base import EngineError, TerminalEngineError, TransientEngineError
from app.engines.emr.failures import engine_error, engine_errors

Say = Callable[[str], None]

_CLUSTER = "AWS::EMR::Cluster"
_EXAMPLE = "scripts/examples/emr-stack.yaml shows how"
# A stack in any other state can be updated, or is being updated.
_BEYOND_UPDATES = {
    "ROLLBACK_COMPLETE": "could not be created; delete it and create it anew",
    "ROLLBACK_FAILED": "could not be created; delete it and create it anew",
    "CREATE_FAILED": "could not be created; delete it and create it anew",
    "DELETE_FAILED": "could not be deleted; delete it and create it anew",
    "DELETE_COMPLETE": "was deleted; create it anew",
    "DELETE_IN_PROGRESS": "is being deleted; create it anew",
    "UPDATE_FAILED": "failed in an update; roll it back or update it",
    "UPDATE_ROLLBACK_FAILED": "failed in an update and could not be rolled back; continue its rollback",
}


class StackCluster:
    """Finds the cluster by the stack's name and its logical id in the stack.

    A cluster that is down is brought up by setting the stack's parameter `switch` to a value that follows from what
    was found: of any number of processes that find the same, one begins the update, and all of them wait for it.
    `fresh` is how long a cluster that was up is not asked about again.
    """

    def __init__(
        self,
        *,
        stack: Stack,
        clusters: EmrClusters,
        logical_id: str,
        switch: str,
        interval: timedelta,
        max_attempts: int,
        fresh: timedelta,
    ) -> None:
        self._stack = stack
        self._clusters = clusters
        self._logical_id = logical_id
        self._switch = switch
        self._interval = interval.total_seconds()
        self._max_attempts = max_attempts
        self._fresh = fresh.total_seconds()
        self._found: tuple[ClusterFacts, float] | None = None
        self._search: asyncio.Task[ClusterFacts] | None = None
        self._listeners: set[Say] = set()

    async def ready(self, say: Say) -> ClusterFacts:
        """The cluster, once it takes steps; `say` is told what goes on meanwhile.

        Raises: TransientEngineError, TerminalEngineError.
        """
        if self._found is not None and monotonic() - self._found[1] < self._fresh:
            return self._found[0]
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(self._bring_up())
            self._search.add_done_callback(_heard)
        self._listeners.add(say)
        try:
            with engine_errors():
                return await asyncio.shield(self._search)
        finally:
            self._listeners.discard(say)

    async def facts_of(self, cluster: str) -> ClusterFacts | None:
        """What does not change of a cluster that was the stack's once. Raises: AwsError."""
        if self._found is not None and self._found[0].id == cluster:
            return self._found[0]
        return await self._clusters.facts(cluster)

    def forget(self) -> None:
        """Look again next time: the cluster has refused a step."""
        if self._found is not None:
            self._found = (self._found[0], 0)

    async def check(self) -> None:
        """That the stack is there and can have a cluster. Raises: EngineError, AwsError."""
        _, found = await self._look()
        if found is None:
            await self._updatable()

    async def close(self) -> None:
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    async def _bring_up(self) -> ClusterFacts:
        updated = False
        for attempt in range(self._max_attempts + 1):
            if attempt:
                await asyncio.sleep(self._interval)
            try:
                found, updated = await self._one_look(updated=updated)
            except TransientAwsError as error:
                self._say(error.message)
                continue
            if found is not None:
                self._found = (found, monotonic())
                return found
        raise TransientEngineError(
            f"The cluster of the stack {self._stack.name} was not up after {self._max_attempts} looks, one every"
            f" {self._interval:g} s.",
            code="CLUSTER_NOT_UP",
        )

    async def _one_look(self, *, updated: bool) -> tuple[ClusterFacts | None, bool]:
        """The cluster where it is up, and whether an update was begun for it; begins one where that is needed."""
        _, found = await self._look()
        if found is not None:
            return found, updated
        stack = await self._updatable()
        if stack.in_progress:
            self._say(f"The stack {self._stack.name} is in {stack.status}; waiting for its cluster.")
            return None, updated
        id_, found = await self._look()  # an update may have ended between the two answers
        if found is not None:
            return found, updated
        if updated:
            raise await self._failed(stack)
        return None, await self._update(stack, id_)

    async def _look(self) -> tuple[str | None, ClusterFacts | None]:
        """The id of the cluster that the stack has, if any, and its facts where it takes steps."""
        resource = await self._stack.resource(self._logical_id)
        if resource is None or not resource.physical_id:
            return None, None
        if resource.type != _CLUSTER:
            raise TerminalEngineError(
                f"{self._logical_id} in the stack {self._stack.name} is {resource.type}, not {_CLUSTER}; correct"
                " connector.aws_emr.cluster_logical_id.",
                code="NO_CLUSTER",
            )
        if resource.status.endswith("_IN_PROGRESS"):
            return resource.physical_id, None  # one that is being replaced would take the steps with it
        found = await self._clusters.facts(resource.physical_id)
        return resource.physical_id, found if found is not None and found.takes_steps else None

    async def _updatable(self) -> StackFacts:
        """The stack, where it can have a cluster. Raises: TerminalEngineError."""
        stack = await self._stack.facts()
        if stack is None:
            raise TerminalEngineError(
                f"There is no stack {self._stack.name} in this account and region; create it ({_EXAMPLE}) or correct"
                " connector.aws_emr.stack_name.",
                code="NO_STACK",
            )
        if stack.status in _BEYOND_UPDATES:
            raise TerminalEngineError(
                f"The stack {self._stack.name} {_BEYOND_UPDATES[stack.status]} (it is in {stack.status}"
                f"{': ' + stack.reason if stack.reason else ''}).",
                code="STACK_BROKEN",
            )
        return stack

    async def _update(self, stack: StackFacts, cluster: str | None) -> bool:
        """Begin the update, unless somebody has just begun it; whether we did."""
        if not await self._stack.describes(self._logical_id):
            raise TerminalEngineError(
                f"The stack {self._stack.name} has no resource {self._logical_id}; correct"
                " connector.aws_emr.cluster_logical_id.",
                code="NO_CLUSTER",
            )
        if self._switch not in stack.parameters:
            raise TerminalEngineError(
                f"The cluster of the stack {self._stack.name} is down, and the stack has no parameter {self._switch}"
                f" to bring it up by ({_EXAMPLE}); start it yourself or correct connector.aws_emr.stack_parameter.",
                code="CLUSTER_DOWN",
            )
        # A value of the state that was found: two who find the same ask for the same, and who comes too late changes
        # nothing, for by then the parameter has this value.
        value = f"after-{cluster or _plain(stack)}"
        try:
            await self._stack.set_parameter(stack, self._switch, value)
        except TerminalAwsError as error:
            now = await self._stack.facts()
            if now is not None and (now.in_progress or now.version != stack.version):
                self._say(f"The stack {self._stack.name} is being updated by another.")
                return False
            raise engine_error(error) from error
        self._say(
            f"The cluster of the stack {self._stack.name} is down; the stack is updated with {self._switch}={value}."
        )
        return True

    async def _failed(self, stack: StackFacts) -> EngineError:
        why = await self._stack.failure() if "ROLLBACK" in stack.status else ""
        return TerminalEngineError(
            f"The update of the stack {self._stack.name} ended in {stack.status}, and its cluster is not up."
            f"{' ' + why if why else ''}",
            code="STACK_UPDATE_FAILED",
        )

    def _say(self, text: str) -> None:
        for say in tuple(self._listeners):
            say(text)


def _plain(stack: StackFacts) -> str:
    """The stack's version in characters that names of clusters may have."""
    return "".join(character if character.isalnum() else "-" for character in stack.version)


def _heard(search: "asyncio.Task[ClusterFacts]") -> None:
    """Take note of a failure that nobody waits for any more."""
    if not search.cancelled():
        search.exception()

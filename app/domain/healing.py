"""What a run that stands still needs to go on, worked out anew from its edges and the statuses of its tasks."""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain.graph import topological_order
from app.domain.status import TaskRunStatus

Node = TypeVar("Node", bound=Hashable)
MET = frozenset({TaskRunStatus.SUCCESS, TaskRunStatus.SKIPPED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Healing(Generic[Node]):
    """Of the tasks that are PENDING: who may be queued, who can never run, and how many parents the others wait for."""

    ready: frozenset[Node]
    doomed: frozenset[Node]
    waiting: Mapping[Node, int]


def heal(statuses: Mapping[Node, TaskRunStatus], parents: Mapping[Node, Collection[Node]]) -> Healing[Node]:
    """O(nodes + edges)."""
    ready: set[Node] = set()
    doomed: set[Node] = set()
    waiting: dict[Node, int] = {}
    for node in topological_order({node: parents.get(node, ()) for node in statuses}):
        if statuses[node] is not TaskRunStatus.PENDING:
            continue
        unmet = [parent for parent in parents.get(node, ()) if statuses[parent] not in MET]
        if any(parent in doomed or statuses[parent].ended for parent in unmet):
            doomed.add(node)
        elif unmet:
            waiting[node] = len(unmet)
        else:
            ready.add(node)
    return Healing(ready=frozenset(ready), doomed=frozenset(doomed), waiting=waiting)

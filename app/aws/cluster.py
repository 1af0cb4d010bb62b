"""EMR's calls about clusters and their steps, as typed facts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.aws.clients import AwsClients
from app.aws.errors import TerminalAwsError

STEPS_BY_ID = 10  # how many steps ListSteps gives by their ids at once
STEPS_AT_ONCE = 256  # how many AddJobFlowSteps and CancelSteps take, and how many a cluster keeps waiting
UNKNOWN = frozenset({"InvalidRequestException", "ValidationException"})  # what EMR says of an id that is none of its


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterFacts:
    """A cluster at one moment; `log_uri` is where EMR puts the steps' logs, if anywhere."""

    id: str
    state: str
    reason: str
    log_uri: str | None

    @property
    def takes_steps(self) -> bool:
        return self.state in {"STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepStatus:
    id: str
    name: str
    state: str
    reason: str = ""

    @property
    def has_ended(self) -> bool:
        return self.state in {"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"}


class EmrClusters:
    """Every method raises TransientAwsError and TerminalAwsError."""

    def __init__(self, *, clients: AwsClients) -> None:
        self._clients = clients

    async def facts(self, cluster: str) -> ClusterFacts | None:
        """None for a cluster that EMR does not know, or not any more: two months after its end."""
        try:
            found = (await self._call("describe_cluster", ClusterId=cluster))["Cluster"]
        except TerminalAwsError as error:
            if error.code not in UNKNOWN:
                raise
            return None
        status = found["Status"]
        return ClusterFacts(
            id=cluster,
            state=status["State"],
            reason=status.get("StateChangeReason", {}).get("Message") or "",
            log_uri=found.get("LogUri"),
        )

    async def add_steps(self, cluster: str, steps: Sequence[Mapping[str, Any]]) -> list[str]:
        """Their ids, in order."""
        answer = await self._call("add_job_flow_steps", JobFlowId=cluster, Steps=list(steps))
        return list(answer["StepIds"])

    async def cancel_steps(self, cluster: str, steps: Sequence[str], *, force: bool) -> None:
        """Interrupt the steps, or end their processes where `force` is set."""
        await self._call(
            "cancel_steps",
            ClusterId=cluster,
            StepIds=list(steps),
            StepCancellationOption="TERMINATE_PROCESS" if force else "SEND_INTERRUPT",
        )

    async def steps(self, cluster: str, ids: Sequence[str]) -> list[StepStatus]:
        """The steps with these ids, STEPS_BY_ID at most."""
        answer = await self._call("list_steps", ClusterId=cluster, StepIds=list(ids))
        return [_status(step) for step in answer["Steps"]]

    async def newest_steps(self, cluster: str) -> AsyncIterator[list[StepStatus]]:
        """All steps, page by page, the newest first."""
        marker: dict[str, str] = {}
        while True:
            answer = await self._call("list_steps", ClusterId=cluster, **marker)
            yield [_status(step) for step in answer["Steps"]]
            if not answer.get("Marker"):
                return
            marker = {"Marker": answer["Marker"]}

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._clients.call("emr", operation, **arguments)


def _status(step: Mapping[str, Any]) -> StepStatus:
    status = step["Status"]
    details = status.get("FailureDetails") or {}
    change = status.get("StateChangeReason") or {}
    reasons = [details.get("Reason"), details.get("Message"), change.get("Message")]
    return StepStatus(
        id=step["Id"],
        name=step["Name"],
        state=status["State"],
        reason=" ".join(reason for reason in reasons if reason),
    )

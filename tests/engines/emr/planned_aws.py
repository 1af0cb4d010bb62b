"""An AWS that goes by a plan, for what moto cannot do: stacks that take their time, clusters that go, throttling."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from app.aws.errors import TerminalAwsError, TransientAwsError


class PlannedAws:
    """Answers as CloudFormation and EMR do; `calls` has what was asked. In place of app.aws.clients.AwsClients."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.stack_there = True
        self.status = "CREATE_COMPLETE"
        self.version = 0
        self.parameters = {"ClusterGeneration": "first", "InstanceType": "m5.xlarge", "KeyName": "ops"}
        self.resources: dict[str, tuple[str, str, str]] = {
            "Cluster": ("j-1", "AWS::EMR::Cluster", "CREATE_COMPLETE"),
            "Logs": ("logs", "AWS::S3::Bucket", "CREATE_COMPLETE"),
        }
        self.template = "Resources:\n  Cluster:\n    Type: AWS::EMR::Cluster\n    Condition: HasCluster\n"
        self.clusters = {"j-1": "WAITING"}
        self.looks_in_progress = 2  # that an update takes
        self.update_ends_in = "UPDATE_COMPLETE"
        self.steps: dict[str, dict[str, str]] = {}
        self.throttled = 0  # how many of the next ListSteps are
        self.lost_answers = 0  # how many of the next AddJobFlowSteps lose their answer
        self.full = 0  # how many of the next AddJobFlowSteps are refused for want of room
        self._left = 0

    async def close(self) -> None:
        pass

    def count(self, operation: str) -> int:
        return Counter(name for name, _ in self.calls)[operation]

    def arguments(self, operation: str) -> dict[str, Any]:
        """Of the newest such call."""
        return next(arguments for name, arguments in reversed(self.calls) if name == operation)

    async def call(self, _service: str, operation: str, **arguments: Any) -> Any:
        self.calls.append((operation, arguments))
        return getattr(self, f"_{operation}")(**arguments)

    def _describe_stacks(self, **_arguments: Any) -> Any:
        self._check_stack()
        if self._left:
            self._left -= 1
            if not self._left:
                self._end_update()
        return {
            "Stacks": [
                {
                    "StackId": "arn:stack/phantom/1",
                    "StackStatus": self.status,
                    "Parameters": [{"ParameterKey": key, "ParameterValue": v} for key, v in self.parameters.items()],
                    "Capabilities": ["CAPABILITY_NAMED_IAM"],
                    "CreationTime": datetime(2026, 1, 5, tzinfo=UTC),
                    "LastUpdatedTime": datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=self.version),
                }
            ]
        }

    def _list_stack_resources(self, **_arguments: Any) -> Any:
        self._check_stack()
        return {
            "StackResourceSummaries": [
                {"LogicalResourceId": name, "PhysicalResourceId": id_, "ResourceType": type_, "ResourceStatus": status}
                for name, (id_, type_, status) in self.resources.items()
            ]
        }

    def _get_template(self, **_arguments: Any) -> Any:
        return {"TemplateBody": self.template}

    def _update_stack(self, **arguments: Any) -> Any:
        if self.status.endswith("_IN_PROGRESS"):
            raise TerminalAwsError(f"Stack is in {self.status} state and can not be updated", code="ValidationError")
        values = {p["ParameterKey"]: p.get("ParameterValue") for p in arguments["Parameters"]}
        if all(value in {None, self.parameters[key]} for key, value in values.items()):
            raise TerminalAwsError("No updates are to be performed.", code="ValidationError")
        self.parameters |= {key: value for key, value in values.items() if value is not None}
        self.status = "UPDATE_IN_PROGRESS"
        self.version += 1
        self._left = self.looks_in_progress
        return {"StackId": "arn:stack/phantom/1"}

    def _describe_stack_events(self, **_arguments: Any) -> Any:
        reason = "The requested instance type is not there."
        return {
            "StackEvents": [
                {"LogicalResourceId": "phantom", "ResourceStatus": "UPDATE_ROLLBACK_COMPLETE"},
                {"LogicalResourceId": "Cluster", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": reason},
            ]
        }

    def _describe_cluster(self, ClusterId: str) -> Any:  # noqa: N803 - AWS's name
        if ClusterId not in self.clusters:
            raise TerminalAwsError("Cluster id is not valid.", code="InvalidRequestException")
        return {"Cluster": {"Id": ClusterId, "Status": {"State": self.clusters[ClusterId]}}}

    def _add_job_flow_steps(self, JobFlowId: str, Steps: list[dict[str, Any]]) -> Any:  # noqa: N803 - AWS's names
        assert self.clusters[JobFlowId] == "WAITING"
        if self.full:
            self.full -= 1
            message = "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') exceeded."
            raise TerminalAwsError(message, code="ValidationException")
        ids = [f"s-{len(self.steps) + place}" for place in range(len(Steps))]
        self.steps |= {id_: {"name": step["Name"], "state": "RUNNING"} for id_, step in zip(ids, Steps, strict=True)}
        if self.lost_answers:
            self.lost_answers -= 1
            raise TransientAwsError("The connection was closed before the answer.", code="ConnectionClosedError")
        return {"StepIds": ids}

    def _list_steps(self, ClusterId: str, StepIds: list[str] | None = None, Marker: str = "0") -> Any:  # noqa: ARG002, N803 - AWS's names
        if self.throttled:
            self.throttled -= 1
            raise TransientAwsError("Rate exceeded", code="ThrottlingException")
        if StepIds is None:
            start = int(Marker)
            wanted = list(reversed(self.steps))[start : start + 50]
            more = {"Marker": str(start + 50)} if start + 50 < len(self.steps) else {}
        else:
            assert len(StepIds) <= 10
            wanted, more = StepIds, {}
            if any(id_ not in self.steps for id_ in wanted):
                raise TerminalAwsError("Step id is not valid.", code="InvalidRequestException")
        steps = [
            {"Id": id_, "Name": self.steps[id_]["name"], "Status": {"State": self.steps[id_]["state"]}}
            for id_ in wanted
        ]
        return {"Steps": steps, **more}

    def _cancel_steps(self, StepIds: list[str], **_arguments: Any) -> Any:  # noqa: N803 - AWS's name
        for id_ in StepIds:
            self.steps[id_]["state"] = "CANCELLED"
        return {"CancelStepsInfoList": []}

    def _check_stack(self) -> None:
        if not self.stack_there:
            raise TerminalAwsError("Stack with id phantom does not exist", code="ValidationError")

    def _end_update(self) -> None:
        self.status = self.update_ends_in
        if self.update_ends_in == "UPDATE_COMPLETE":
            self.clusters["j-2"] = "WAITING"
            self.resources["Cluster"] = ("j-2", "AWS::EMR::Cluster", "CREATE_COMPLETE")
        else:
            self.parameters["ClusterGeneration"] = "first"

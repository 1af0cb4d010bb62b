"""A CloudFormation stack: what it is like, what it has made, and how one of its parameters is changed."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.aws.clients import AwsClients
from app.aws.errors import TerminalAwsError

_REFUSED = "ValidationError"  # CloudFormation has one code for whatever it refuses


@dataclass(frozen=True, kw_only=True, slots=True)
class StackFacts:
    """A stack at one moment; `version` changes with every update."""

    id: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    capabilities: tuple[str, ...]
    version: str

    @property
    def in_progress(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")


@dataclass(frozen=True, kw_only=True, slots=True)
class StackResource:
    physical_id: str
    type: str
    status: str


class Stack:
    """One stack by its name. Every method raises TransientAwsError and TerminalAwsError."""

    def __init__(self, *, clients: AwsClients, name: str) -> None:
        self.name = name
        self._clients = clients

    async def facts(self) -> StackFacts | None:
        """None where there is no such stack."""
        try:
            answer = await self._call("describe_stacks", StackName=self.name)
        except TerminalAwsError as error:
            if error.code != _REFUSED:
                raise
            return None
        stack: dict[str, Any] = answer["Stacks"][0]
        return StackFacts(
            id=stack["StackId"],
            status=stack["StackStatus"],
            reason=stack.get("StackStatusReason", ""),
            parameters={
                parameter["ParameterKey"]: parameter.get("ParameterValue", "")
                for parameter in stack.get("Parameters", [])
            },
            capabilities=tuple(stack.get("Capabilities", [])),
            version=str(stack.get("LastUpdatedTime") or stack["CreationTime"]),
        )

    async def resource(self, logical_id: str) -> StackResource | None:
        """None where the stack, or the resource in it, is not there."""
        marker: dict[str, str] = {}
        while True:
            try:
                answer = await self._call("list_stack_resources", StackName=self.name, **marker)
            except TerminalAwsError as error:
                if error.code != _REFUSED:
                    raise
                return None
            for found in answer["StackResourceSummaries"]:
                if found["LogicalResourceId"] == logical_id:
                    return StackResource(
                        physical_id=found.get("PhysicalResourceId", ""),
                        type=found["ResourceType"],
                        status=found["ResourceStatus"],
                    )
            if not answer.get("NextToken"):
                return None
            marker = {"NextToken": answer["NextToken"]}

    async def describes(self, logical_id: str) -> bool:
        """Whether the template has such a resource, be it switched off by a condition."""
        body = (await self._call("get_template", StackName=self.name))["TemplateBody"]
        if isinstance(body, str):  # YAML, with tags of CloudFormation's own
            return re.search(rf"^\s*[\"']?{re.escape(logical_id)}[\"']?\s*:", body, re.MULTILINE) is not None
        return logical_id in body.get("Resources", {})

    async def set_parameter(self, facts: StackFacts, name: str, value: str) -> None:
        """Begin an update that changes this parameter alone.

        Whoever begins the same update of the same version is taken for a repeated request and starts no second one.
        """
        token = hashlib.sha256(f"{facts.id} {facts.version} {name}={value}".encode()).hexdigest()[:40]
        await self._call(
            "update_stack",
            StackName=facts.id,
            UsePreviousTemplate=True,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value},
                *({"ParameterKey": other, "UsePreviousValue": True} for other in facts.parameters if other != name),
            ],
            Capabilities=list(facts.capabilities),
            ClientRequestToken=f"data-phantom-{token}",
        )

    async def failure(self) -> str:
        """What the newest failed event says, for an update that was rolled back."""
        answer = await self._call("describe_stack_events", StackName=self.name)
        return next(
            (
                f"{event.get('LogicalResourceId', '')}: {event['ResourceStatusReason']}"
                for event in answer["StackEvents"]
                if event.get("ResourceStatus", "").endswith("_FAILED") and event.get("ResourceStatusReason")
            ),
            "",
        )

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._clients.call("cloudformation", operation, **arguments)

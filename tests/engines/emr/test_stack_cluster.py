"""The stack's own cluster: found, brought up by one update, and told by clear errors where that cannot be."""

import asyncio
from datetime import timedelta

import pytest

from app.aws.cluster import EmrClusters
from app.aws.stack import Stack
from app.engines.base import EngineError, TerminalEngineError, TransientEngineError
from app.engines.emr.stack_cluster import StackCluster
from tests.engines.emr.planned_aws import PlannedAws


@pytest.fixture
def aws() -> PlannedAws:
    return PlannedAws()


def cluster_of(aws: PlannedAws, **values: object) -> StackCluster:
    return StackCluster(
        **{
            "stack": Stack(clients=aws, name="phantom"),
            "clusters": EmrClusters(clients=aws),
            "logical_id": "Cluster",
            "switch": "ClusterGeneration",
            "interval": timedelta(milliseconds=1),
            "max_attempts": 10,
            "fresh": timedelta(seconds=30),
            **values,
        }
    )


async def ready(cluster: StackCluster) -> tuple[str, list[str]]:
    said: list[str] = []
    return (await cluster.ready(said.append)).id, said


async def test_a_cluster_that_is_up_is_taken_and_no_update_begun(aws):
    assert await ready(cluster_of(aws)) == ("j-1", [])
    assert aws.count("update_stack") == 0


async def test_many_who_ask_at_once_and_soon_after_cost_two_calls(aws):
    cluster = cluster_of(aws)
    await asyncio.gather(*(ready(cluster) for _ in range(50)))
    await ready(cluster)
    assert len(aws.calls) == 2


async def test_a_cluster_that_was_terminated_is_brought_up_by_one_parameter_and_all_else_is_kept(aws):
    aws.clusters["j-1"] = "TERMINATED"
    id_, said = await ready(cluster_of(aws))
    assert id_ == "j-2"
    assert aws.count("update_stack") == 1
    asked = aws.arguments("update_stack")
    assert asked.pop("ClientRequestToken").startswith("data-phantom-")
    assert asked == {
        "StackName": "arn:stack/phantom/1",
        "UsePreviousTemplate": True,
        "Parameters": [
            {"ParameterKey": "ClusterGeneration", "ParameterValue": "after-j-1"},
            {"ParameterKey": "InstanceType", "UsePreviousValue": True},
            {"ParameterKey": "KeyName", "UsePreviousValue": True},
        ],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    assert "ClusterGeneration=after-j-1" in said[0]


async def test_a_cluster_that_the_stack_does_not_have_at_present_is_brought_up(aws):
    del aws.resources["Cluster"]
    assert (await ready(cluster_of(aws)))[0] == "j-2"
    assert aws.parameters["ClusterGeneration"].startswith("after-2026-01-05")


async def test_a_cluster_that_emr_has_forgotten_is_brought_up_anew(aws):
    aws.clusters.clear()
    assert (await ready(cluster_of(aws)))[0] == "j-2"


async def test_many_processes_begin_one_update(aws):
    aws.clusters["j-1"] = "TERMINATED_WITH_ERRORS"
    aws.looks_in_progress = 8
    found = await asyncio.gather(*(ready(cluster_of(aws, max_attempts=50)) for _ in range(5)))
    assert {id_ for id_, _ in found} == {"j-2"}
    assert aws.version == 1


async def test_who_comes_after_the_update_changes_nothing(aws):
    aws.clusters["j-1"] = "TERMINATED"
    stack = Stack(clients=aws, name="phantom")
    before = await stack.facts()
    await ready(cluster_of(aws))
    assert await cluster_of(aws)._update(before, "j-1") is False
    assert aws.version == 1


async def test_a_stack_that_another_is_updating_is_waited_for(aws):
    aws.status, aws._left = "UPDATE_IN_PROGRESS", 3
    aws.resources["Cluster"] = ("j-1", "AWS::EMR::Cluster", "UPDATE_IN_PROGRESS")
    id_, said = await ready(cluster_of(aws))
    assert id_ == "j-2"
    assert aws.count("update_stack") == 0
    assert "UPDATE_IN_PROGRESS" in said[0]


async def test_the_looks_are_counted(aws):
    aws.clusters["j-1"] = "TERMINATED"
    aws.looks_in_progress = 1_000
    with pytest.raises(TransientEngineError) as raised:
        await ready(cluster_of(aws, max_attempts=4))
    assert raised.value.code == "CLUSTER_NOT_UP"
    assert aws.count("describe_stacks") == 5


async def test_an_update_that_is_rolled_back_tells_why(aws):
    aws.clusters["j-1"] = "TERMINATED"
    aws.update_ends_in = "UPDATE_ROLLBACK_COMPLETE"
    with pytest.raises(TerminalEngineError) as raised:
        await ready(cluster_of(aws))
    assert raised.value.code == "STACK_UPDATE_FAILED"
    assert "Cluster: The requested instance type is not there." in raised.value.message


async def test_after_a_failed_update_another_is_tried_when_somebody_asks_again(aws):
    aws.clusters["j-1"] = "TERMINATED"
    aws.update_ends_in = "UPDATE_ROLLBACK_COMPLETE"
    cluster = cluster_of(aws)
    with pytest.raises(TerminalEngineError):
        await ready(cluster)
    first = aws.arguments("update_stack")["ClientRequestToken"]
    aws.update_ends_in = "UPDATE_COMPLETE"
    assert (await ready(cluster))[0] == "j-2"
    assert aws.arguments("update_stack")["ClientRequestToken"] != first


def _no_stack(aws: PlannedAws) -> None:
    aws.stack_there = False


def _never_made(aws: PlannedAws) -> None:
    aws.status = "ROLLBACK_COMPLETE"
    aws.clusters["j-1"] = "TERMINATED"


def _no_such_resource(aws: PlannedAws) -> None:
    del aws.resources["Cluster"]
    aws.template = "Resources:\n  Other:\n    Type: AWS::EMR::Cluster\n"


def _another_kind(aws: PlannedAws) -> None:
    aws.resources["Cluster"] = ("b", "AWS::S3::Bucket", "CREATE_COMPLETE")


def _no_switch(aws: PlannedAws) -> None:
    aws.clusters["j-1"] = "TERMINATED"
    del aws.parameters["ClusterGeneration"]


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (_no_stack, "NO_STACK", "connector.aws_emr.stack_name"),
        (_never_made, "STACK_BROKEN", "ROLLBACK_COMPLETE"),
        (_no_such_resource, "NO_CLUSTER", "connector.aws_emr.cluster_logical_id"),
        (_another_kind, "NO_CLUSTER", "AWS::S3::Bucket"),
        (_no_switch, "CLUSTER_DOWN", "connector.aws_emr.stack_parameter"),
    ],
)
async def test_what_is_wrong_with_the_stack_is_told_and_nothing_is_updated(aws, spoil, code, words):
    spoil(aws)
    with pytest.raises(EngineError) as raised:
        await ready(cluster_of(aws))
    assert (raised.value.code, raised.value.retriable) == (code, False)
    assert words in raised.value.message
    assert aws.count("update_stack") == 0


async def test_the_resource_is_found_in_a_template_of_json(aws):
    del aws.resources["Cluster"]
    aws.template = {"Resources": {"Cluster": {"Type": "AWS::EMR::Cluster"}}}
    assert (await ready(cluster_of(aws)))[0] == "j-2"

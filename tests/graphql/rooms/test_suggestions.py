"""What is suggested for the outputs of two tasks, and what is told where there are none."""

from typing import Any

import pytest

from app.domain.outputs import OutputColumn, OutputFormat
from app.graphql.ids import to_global
from app.models import Task
from tests.graphql.rooms.conftest import Caller, Site, World

SUGGEST = """query($left: ID!, $right: ID!) { suggestMapping(leftTaskId: $left, rightTaskId: $right) {
  pairs { left right key confidence reason } unmatchedLeft unmatchedRight whole leftSampledRows rightSampledRows
  keys { columns { left right key } confidence reason } } }"""
CREATE = """mutation($input: CreateReconciliationInput!) { createReconciliation(input: $input) {
  reconciliation { mapping { left right key } } errors { code } } }"""


def named(*names: str) -> list[OutputColumn]:
    return [OutputColumn(name=name, type="VARCHAR") for name in names]


def asked(caller: Caller, left: Task, right: Task) -> Any:
    return caller.ask(SUGGEST, left=to_global("Task", left.id), right=to_global("Task", right.id))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_newest_outputs_are_looked_at_whatever_their_format_and_the_suggestion_can_be_used(site: Site):
    bench = site.bench
    bench.cluster.plan("a", columns=named("order_id", "amount"), rows=[(n, f"{n}.50") for n in range(200)])
    bench.cluster.plan("b", columns=named("Order_ID", "amt"), rows=[(n, f"{n}.5") for n in range(150)])
    playground = await bench.playground()
    left = await bench.task(playground, "a", output_format=OutputFormat.PARQUET)
    right = await bench.task(playground, "b")
    async with bench.worker():
        await bench.run(playground)
    found = (await asked(site.owner, left, right))["data"]["suggestMapping"]
    assert [(each["left"], each["right"], each["key"], each["confidence"]) for each in found["pairs"]] == [
        ("order_id", "Order_ID", True, "HIGH"),
        ("amount", "amt", False, "MEDIUM"),
    ]
    assert (found["unmatchedLeft"], found["unmatchedRight"]) == ([], [])
    assert (found["whole"], found["leftSampledRows"], found["rightSampledRows"]) == (True, 200, 150)
    assert found["keys"][0]["columns"] == [{"left": "order_id", "right": "Order_ID", "key": True}]
    mapping = [{name: each[name] for name in ("left", "right", "key")} for each in found["pairs"]]
    ids = {"leftTaskId": to_global("Task", left.id), "rightTaskId": to_global("Task", right.id)}
    given = {"playgroundId": to_global("Playground", playground.id), "mapping": mapping, **ids}
    made = await site.owner.value(CREATE, input=given)
    assert (made["errors"], made["reconciliation"]["mapping"]) == ([], mapping)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_task_without_an_output_of_ones_own_is_named(site: Site, world: World):
    fresh = await site.bench.task(world.playground, "fresh")
    for left, right, path in ((fresh, world.right, "leftTaskId"), (world.left, fresh, "rightTaskId")):
        (error,) = (await asked(site.owner, left, right))["errors"]
        assert (error["extensions"]["code"], error["extensions"]["path"]) == ("CONFLICT", [path])
        assert "«fresh» has no output yet" in error["message"]
    (error,) = (await asked(site.stranger, world.left, world.right))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["path"]) == ("NOT_FOUND", ["leftTaskId"])

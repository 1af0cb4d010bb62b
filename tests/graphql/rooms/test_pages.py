"""Pages by keyset: complete and without doubles in both directions, while rows are added, at a steady cost."""

from typing import Any

import pytest

from app.domain.identity import new_id, utc_now
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.status import ReconciliationStatus
from app.graphql.ids import to_global
from app.graphql.loaders import KEYS_AT_ONCE, Loaders
from app.services.launching import Launch
from app.store.unit_of_work import UnitOfWork
from tests.graphql.rooms.conftest import Caller, Site
from tests.graphql.rooms.statements import Statements
from tests.support.workbench import Workbench

ROWS = 45
PAGE = "nodes { id } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
ARGUMENTS = "first: $first, after: $after, last: $last, before: $before"
PLAYGROUNDS = f"""query($first: Int, $after: String, $last: Int, $before: String) {{
  playgrounds({ARGUMENTS}) {{ {PAGE} }} }}"""
RUNS = f"""query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {{
  playground(id: $id) {{ runs({ARGUMENTS}) {{ {PAGE} }} }} }}"""
EVENTS = """query($id: ID!, $first: Int, $after: String) { run(id: $id) { events(first: $first, after: $after) {
  nodes { cursor status } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
DASHBOARD = """query($n: Int) { playgrounds(first: $n) { nodes { id name status owner { username }
  tasks { id name parents { id } children { id } lastRun { id status } }
  dependencies { parent { id } child { id } }
  lastRun { id counts { total success } taskRuns { id status output { rowCount } error { code } } }
  reconciliations { id left { id } right { id } lastRun { id status } } } } }"""


async def many_playgrounds(bench: Workbench, count: int) -> list[str]:
    """Their global ids, the newest first."""
    made = [await bench.playground(f"number {number:02}") for number in range(count)]
    return [to_global("Playground", row.id) for row in reversed(made)]


async def many_runs(bench: Workbench, count: int) -> tuple[str, list[str]]:
    """A playground's id, and those of its runs, the newest first."""
    playground, _ = await bench.graph({"a": ""})
    ids = []
    for _ in range(count):
        run = await bench.services.runs.launch(bench.viewer, playground.id, Launch())
        await bench.services.runs.cancel(bench.viewer, run.id)
        ids.append(to_global("Run", run.id))
    return to_global("Playground", playground.id), ids[::-1]


async def walk(caller: Caller, document: str, *, size: int, backward: bool = False, **variables: Any) -> list[str]:
    """All ids, page by page, in the order of the list."""
    found: list[str] = []
    cursor = None
    while True:
        asked = {"last": size, "before": cursor} if backward else {"first": size, "after": cursor}
        page = await caller.value(document, **asked, **variables)
        page = page.get("runs", page)
        ids = [node["id"] for node in page["nodes"]]
        info = page["pageInfo"]
        assert [edge["node"]["id"] for edge in page["edges"]] == ids
        assert info["startCursor"] == (page["edges"][0]["cursor"] if ids else None)
        assert info["endCursor"] == (page["edges"][-1]["cursor"] if ids else None)
        assert info["hasPreviousPage" if not backward else "hasNextPage"] is (cursor is not None)
        found = [*ids, *found] if backward else [*found, *ids]
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            return found
        assert len(ids) == size
        cursor = info["startCursor" if backward else "endCursor"]


@pytest.mark.parametrize("backward", [False, True], ids=["forwards", "backwards"])
async def test_pages_give_every_playground_once_and_in_order(site: Site, backward: bool) -> None:
    expected = await many_playgrounds(site.bench, ROWS)
    for size in (1, 7, 44, 45, 100):
        assert await walk(site.owner, PLAYGROUNDS, size=size, backward=backward) == expected, size
    assert (await site.owner.value(PLAYGROUNDS))["nodes"] == [{"id": id_} for id_ in expected[:20]]
    nothing = await site.owner.value(PLAYGROUNDS, first=0)
    assert nothing["nodes"] == []
    assert nothing["pageInfo"]["hasNextPage"] is True


async def test_pages_give_every_run_once_and_in_order(site: Site) -> None:
    playground, expected = await many_runs(site.bench, 23)
    for size in (1, 5, 22, 23):
        for backward in (False, True):
            assert await walk(site.owner, RUNS, size=size, backward=backward, id=playground) == expected


async def test_rows_that_come_while_one_reads_neither_double_nor_hide_another(site: Site) -> None:
    expected = await many_playgrounds(site.bench, 20)
    first = await site.owner.value(PLAYGROUNDS, first=7)
    await site.bench.playground("newer")
    second = await site.owner.value(PLAYGROUNDS, first=7, after=first["pageInfo"]["endCursor"])
    third = await site.owner.value(PLAYGROUNDS, first=100, after=second["pageInfo"]["endCursor"])
    assert [node["id"] for page in (first, second, third) for node in page["nodes"]] == expected
    newer = await site.owner.value(PLAYGROUNDS, last=5, before=first["pageInfo"]["startCursor"])
    assert len(newer["nodes"]) == 1
    deleted = first["nodes"][-1]["id"]
    await site.owner.value(
        "mutation($i: DeletePlaygroundInput!) { deletePlayground(input: $i) { deletedId } }",
        i={"playgroundId": deleted},
    )
    again = await site.owner.value(PLAYGROUNDS, first=7, after=first["pageInfo"]["endCursor"])
    assert again["nodes"] == second["nodes"]  # the cursor outlives its row


async def test_a_page_between_two_cursors_holds_what_lies_between(site: Site) -> None:
    expected = await many_playgrounds(site.bench, 12)
    cursors = [edge["cursor"] for edge in (await site.owner.value(PLAYGROUNDS, first=12))["edges"]]
    between = await site.owner.value(PLAYGROUNDS, first=3, after=cursors[1], before=cursors[8])
    assert [node["id"] for node in between["nodes"]] == expected[2:5]
    assert between["pageInfo"]["hasNextPage"] is True
    tail = await site.owner.value(PLAYGROUNDS, last=3, after=cursors[1], before=cursors[8])
    assert [node["id"] for node in tail["nodes"]] == expected[5:8]


async def test_the_events_of_a_run_are_paged_to_their_end(site: Site) -> None:
    playground, _ = await site.bench.graph({f"t{number}": "" for number in range(9)})
    async with site.bench.worker():
        run = await site.bench.run(playground)
    everything = await site.bench.events_to_end(run)
    found, cursor = [], None
    while True:
        page = (await site.owner.value(EVENTS, id=to_global("Run", run.id), first=4, after=cursor))["events"]
        found += [node["status"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        cursor = page["pageInfo"]["endCursor"]
    assert found == [event.status for event in everything]


async def test_runs_are_found_by_status_and_trigger(site: Site) -> None:
    playground, ids = await many_runs(site.bench, 3)
    document = """query($id: ID!, $s: [RunStatus!], $t: [RunTrigger!]) {
      playground(id: $id) { runs(status: $s, trigger: $t) { nodes { id } } } }"""
    for status, trigger, expected in (
        (["CANCELLED"], None, ids),
        (["SUCCESS"], None, []),
        (["SUCCESS", "CANCELLED"], ["AD_HOC"], ids),
        (None, ["SCHEDULED"], []),
        ([], None, []),
    ):
        found = await site.owner.value(document, id=playground, s=status, t=trigger)
        assert [node["id"] for node in found["runs"]["nodes"]] == expected


async def full_playground(bench: Workbench) -> None:
    """Three tasks in a diamond's half, a run that has ended, and a comparison."""
    playground, tasks = await bench.graph({"a": "", "b": "a", "c": "a b"})
    run = await bench.launch(playground)
    await bench.services.runs.cancel(bench.viewer, run.id)
    pair = await bench.services.reconciliations.create(
        bench.viewer,
        playground.id,
        left_task_id=tasks["a"].id,
        right_task_id=tasks["b"].id,
        mapping=[ColumnMapping(left="one", right="one")],
        options=ReconciliationOptions(),
    )
    rows = await bench.task_runs(run)

    async def add_run(unit: UnitOfWork) -> None:
        await unit.reconciliations.add_runs(
            [
                {
                    "id": new_id(),
                    "reconciliation_id": pair.id,
                    "playground_id": playground.id,
                    "left_task_run_id": rows["a"].id,
                    "right_task_run_id": rows["b"].id,
                    "mapping": pair.mapping,
                    "options": pair.options,
                    "progress": 0.0,
                    "status": ReconciliationStatus.CANCELLED,
                    "event_sequence": 0,
                    "created_at": utc_now(),
                }
            ]
        )

    await bench.database.write(add_run)


async def test_the_statements_of_a_dashboard_do_not_grow_with_its_rows(site: Site) -> None:
    statements = Statements(site.bench)
    await full_playground(site.bench)
    few, value = await statements.of(site.owner, DASHBOARD, n=5)
    assert value["nodes"][0]["lastRun"]["counts"] == {"total": 3, "success": 0}
    assert len(value["nodes"][0]["dependencies"]) == 3
    assert value["nodes"][0]["reconciliations"][0]["lastRun"]["status"] == "CANCELLED"
    assert [task["name"] for task in value["nodes"][0]["tasks"]] == ["a", "b", "c"]
    assert [len(task["parents"]) for task in value["nodes"][0]["tasks"]] == [0, 1, 2]
    for _ in range(4):
        await full_playground(site.bench)
    many, value = await statements.of(site.owner, DASHBOARD, n=5)
    assert len(value["nodes"]) == 5
    assert all(node["lastRun"] and node["tasks"][0]["lastRun"] for node in value["nodes"])
    assert many == few <= 15, statements.texts


@pytest.mark.parametrize(
    "document",
    [
        """query($id: ID!) { playground(id: $id) { runs { nodes {
          id playground { id } counts { total } taskRuns { id task { id } } } } } }""",
        "query($id: ID!) { playground(id: $id) { runs { nodes { reconciliationRuns { id } resumedFrom { id } } } } }",
        """query($id: ID!) { playground(id: $id) { lastRun { events(first: 50) { nodes {
          run { id } taskRun { id run { id } } } } } } }""",
    ],
)
async def test_the_statements_of_a_history_do_not_grow_with_its_rows(site: Site, document: str) -> None:
    statements = Statements(site.bench)
    playground, _ = await site.bench.graph({"a": "", "b": ""})
    id_, counts = to_global("Playground", playground.id), []
    for _ in range(2):
        for _ in range(3):
            run = await site.bench.launch(playground)
            await site.bench.services.runs.cancel(site.bench.viewer, run.id)
        counts.append((await statements.of(site.owner, document, id=id_))[0])
    assert counts[0] == counts[1] <= 10


async def test_a_loader_takes_more_keys_than_a_statement_holds(site: Site) -> None:
    statements = Statements(site.bench)
    keys = [new_id() for _ in range(KEYS_AT_ONCE * 2 + 1)]
    assert set(await Loaders(site.bench.services).task.load_many(keys)) == {None}
    assert len(statements.texts) == 3

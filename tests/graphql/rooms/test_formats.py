"""In which format a task's output is written: said with the task, kept in the run, told with the output."""

from app.graphql.ids import to_global
from tests.graphql.rooms.conftest import Site

CREATE = "mutation($input: CreateTaskInput!) { createTask(input: $input) { task { id outputFormat } errors { code } } }"
UPDATE = "mutation($input: UpdateTaskInput!) { updateTask(input: $input) { task { outputFormat } errors { code } } }"
OUTPUT = """query($id: ID!) { run(id: $id) { taskRuns { outputFormat output {
  location format columns { name type } downloadUrl preview(limit: 5) { columns rows } } } } }"""
BY_LOCATION = "query($location: String!) { preview(location: $location) { rows } }"


async def test_the_format_is_chosen_with_the_task_and_can_be_changed(site: Site) -> None:
    playground = await site.bench.playground()
    given = {"playgroundId": to_global("Playground", playground.id), "type": "MYSQL", "query": "a"}
    plain = await site.owner.value(CREATE, input={**given, "name": "plain"})
    assert plain["task"]["outputFormat"] == "CSV"
    chosen = await site.owner.value(CREATE, input={**given, "name": "chosen", "outputFormat": "PARQUET"})
    assert chosen["task"]["outputFormat"] == "PARQUET"
    task_id = chosen["task"]["id"]
    kept = await site.owner.value(UPDATE, input={"taskId": task_id, "name": "renamed"})
    assert kept["task"]["outputFormat"] == "PARQUET"
    changed = await site.owner.value(UPDATE, input={"taskId": task_id, "outputFormat": "CSV"})
    assert changed["task"]["outputFormat"] == "CSV"


async def test_a_parquet_output_is_shown_and_downloaded_as_what_it_is(site: Site) -> None:
    bench = site.bench
    bench.cluster.plan("a", rows=[(1,), (None,)])
    playground = await bench.playground()
    given = {"playgroundId": to_global("Playground", playground.id), "type": "MYSQL", "query": "a", "name": "a"}
    await site.owner.value(CREATE, input={**given, "outputFormat": "PARQUET"})
    async with bench.worker():
        run = await bench.run(playground)
    (task_run,) = (await site.owner.value(OUTPUT, id=to_global("Run", run.id)))["taskRuns"]
    output = task_run["output"]
    assert (task_run["outputFormat"], output["format"]) == ("PARQUET", "PARQUET")
    assert output["columns"] == [{"name": "one", "type": "INTEGER"}]
    assert output["preview"] == {"columns": ["one"], "rows": [["1"], [None]]}
    assert (await site.owner.value(BY_LOCATION, location=output["location"]))["rows"] == [["1"], [None]]
    response = await site.owner.http.get(output["downloadUrl"])
    assert response.headers["content-disposition"].endswith("a.parquet")
    assert response.content[:4] == response.content[-4:] == b"PAR1"

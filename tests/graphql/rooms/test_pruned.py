"""What retention has pruned says so, in the API and behind a download link."""

from datetime import timedelta

from app.domain.retention import Rules
from app.graphql.ids import to_global
from app.services.discards import DiscardService
from app.services.retention import RetentionService
from tests.graphql.rooms.conftest import Site
from tests.services.compared import ended, following, pair_of

OUTPUT = """query($id: ID!) { run(id: $id) { number taskRuns {
  status output { location rowCount prunedAt downloadUrl } } } }"""
PREVIEW = "query($id: ID!) { run(id: $id) { number taskRuns { status output { location preview { rows } } } } }"
BY_LOCATION = "query($location: String!) { preview(location: $location) { rows } }"


async def test_a_pruned_output_is_told_of_and_its_preview_and_its_link_say_why_there_is_nothing(site: Site) -> None:
    bench = site.bench
    playground, _ = await bench.graph({"a": ""})
    async with bench.worker():
        old, _ = [await bench.run(playground) for _ in range(2)]
    run_id = to_global("Run", old.id)
    (before,) = (await site.owner.value(OUTPUT, id=run_id))["taskRuns"]
    assert (await site.owner.http.get(before["output"]["downloadUrl"])).status_code == 200

    await bench.age("run", "ended_at", timedelta(days=9), [old.id])
    rules = Rules(max_output_age=timedelta(days=1))
    assert (await RetentionService(database=bench.database, rules=rules).prune()).outputs == 1
    await DiscardService(database=bench.database, outputs=bench.process.outputs).clear()

    (after,) = (await site.owner.value(OUTPUT, id=run_id))["taskRuns"]
    assert after["output"]["location"] == before["output"]["location"]
    assert before["output"]["prunedAt"] is None
    assert after["output"]["prunedAt"] is not None
    link = await site.owner.http.get(after["output"]["downloadUrl"])
    assert (link.status_code, link.text[:36]) == (410, "This file is not there any more: it ")
    location = after["output"]["location"]
    for answer in (
        await site.owner.ask(PREVIEW, id=run_id),
        await site.owner.ask(BY_LOCATION, location=location),
    ):
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "PRUNED"
        assert "by the rules of retention" in error["message"]
    (hidden,) = (await site.stranger.ask(BY_LOCATION, location=location))["errors"]
    assert hidden["extensions"]["code"] == "NOT_FOUND"


COMPARISON = """query($id: ID!) { reconciliationRun(id: $id) { run { id number } leftTaskRun { output { prunedAt } }
  result { matched differencesUrl differencesSizeBytes differencesPrunedAt } } }"""


async def test_a_comparison_tells_which_of_what_it_used_and_found_was_pruned(site: Site) -> None:
    bench = site.bench
    playground, tasks = await bench.graph({"a": "", "b": ""})
    await pair_of(bench, playground, tasks["a"], tasks["b"])
    async with bench.worker():
        old, _ = runs = [await bench.run(playground) for _ in range(2)]
        (comparison, _) = [await ended(bench, row.id) for run in runs for row in await following(bench, run)]
    id_ = to_global("ReconciliationRun", comparison.id)
    before = await site.owner.value(COMPARISON, id=id_)
    assert before["run"] == {"id": to_global("Run", old.id), "number": 1}
    assert (before["leftTaskRun"]["output"]["prunedAt"], before["result"]["differencesPrunedAt"]) == (None, None)
    file = await site.owner.http.get(before["result"]["differencesUrl"])
    assert (file.status_code, len(file.content)) == (200, before["result"]["differencesSizeBytes"])

    await bench.age("run", "ended_at", timedelta(days=9), [old.id])
    await bench.age("reconciliation_run", "ended_at", timedelta(days=9), [comparison.id])
    await RetentionService(database=bench.database, rules=Rules(max_output_age=timedelta(days=1))).prune()
    await DiscardService(database=bench.database, outputs=bench.process.outputs).clear()
    after = await site.owner.value(COMPARISON, id=id_)
    assert after["result"]["matched"] is True
    assert None not in (after["leftTaskRun"]["output"]["prunedAt"], after["result"]["differencesPrunedAt"])
    assert (await site.owner.http.get(after["result"]["differencesUrl"])).status_code == 410

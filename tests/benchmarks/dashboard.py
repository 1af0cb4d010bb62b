"""What a dashboard of this product asks, and about what: the documents by which cost is measured and tested."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.graphql.ids import to_cursor, to_global
from tests.benchmarks import history
from tests.benchmarks.history import Size
from tests.support.mariadb import MariaDB


@dataclass(frozen=True, kw_only=True)
class Question:
    """A document and its variables."""

    name: str
    document: str
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Global ids of what is asked about, all of it one person's, and cursors into the longest lists."""

    usual: str  # a playground
    usual_run: str
    deep: str  # the playground with the longest history
    deep_cursor: str  # of a run far back in it
    wide: str  # the playground with the most tasks
    wide_run: str
    task_run: str  # one with a log
    events_cursor: str  # into the events of the wide run
    pair: str
    pair_run: str
    some: Sequence[str]  # of many types, at most a hundred
    search: str


RUN = """id number status trigger message createdAt startedAt endedAt durationMs scheduledFor cancelRequested
  counts { total success failed upstreamFailed skipped cancelled }"""
TASK_RUN = "id name type status attempt startedAt endedAt durationMs engineHandle carriedOver"
OUTCOME = "error { code message retriable } output { location format sizeBytes rowCount columns { name type } }"
PLAYGROUND = f"""id name description status createdAt modifiedAt owner {{ username }}
  schedule {{ cron timezone paused description nextFireTimes(count: 1) }} lastRun {{ {RUN} }}"""
PAGE_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
TASK = """id name type connection maxRetries retryDelayMs timeoutMs parents { id } children { id }
  lastRun { id status durationMs }"""
PAIR_RUN = """id status method createdAt startedAt endedAt durationMs progress error { code message }
  result { matched leftRowCount rightRowCount commonRowCount changedRowCount leftOnlyRowCount rightOnlyRowCount }"""

PLAYGROUNDS = f"""query($first: Int, $after: String, $search: String) {{
  playgrounds(first: $first, after: $after, search: $search) {{ nodes {{ {PLAYGROUND} }} {PAGE_INFO} }} }}"""
GRAPH = f"""query($id: ID!) {{ playground(id: $id) {{ {PLAYGROUND} tasks {{ {TASK} }} }} }}"""
TEXTS = """query($id: ID!) { playground(id: $id) {
  tasks { id query fields { columns { name } complete problem } } } }"""
HISTORY = f"""query($id: ID!, $first: Int, $after: String, $status: [RunStatus!], $trigger: [RunTrigger!]) {{
  playground(id: $id) {{ id runs(first: $first, after: $after, status: $status, trigger: $trigger) {{
    nodes {{ {RUN} }} {PAGE_INFO} }} }} }}"""
RUN_PAGE = f"query($id: ID!) {{ run(id: $id) {{ {RUN} playground {{ id name }} taskRuns {{ {TASK_RUN} }} }} }}"
RUN_OUTCOMES = f"query($id: ID!) {{ run(id: $id) {{ {RUN} taskRuns {{ {TASK_RUN} {OUTCOME} task {{ id }} }} }} }}"
TASK_RUN_PAGE = f"""query($id: ID!) {{ taskRun(id: $id) {{ {TASK_RUN} query {OUTCOME}
  attempts {{ number status startedAt endedAt durationMs error {{ code message }} }}
  task {{ id name }} run {{ id number status playground {{ id name }} }} }} }}"""
LOG = "subscription($id: ID!) { taskLog(taskRunId: $id) { cursor lines { at stream text attempt } } }"
EVENTS = f"""query($id: ID!, $first: Int, $after: String) {{ run(id: $id) {{
  events(first: $first, after: $after) {{
    nodes {{ cursor at status message taskRun {{ id name status }} }} {PAGE_INFO} }} }} }}"""
PAIRS = f"""query($id: ID!) {{ playground(id: $id) {{ reconciliations {{ id mapping {{ left right key }}
  left {{ id name }} right {{ id name }} lastRun {{ {PAIR_RUN} }} }} }} }}"""
PAIR_HISTORY = f"""query($id: ID!, $first: Int) {{ reconciliation(id: $id) {{ id
  runs(first: $first) {{ nodes {{ {PAIR_RUN} }} {PAGE_INFO} }} }} }}"""
PAIR_RUN_PAGE = f"""query($id: ID!) {{ reconciliationRun(id: $id) {{ {PAIR_RUN}
  reconciliation {{ id left {{ id name }} right {{ id name }} }}
  leftTaskRun {{ id run {{ id number }} }} rightTaskRun {{ id run {{ id number }} }}
  result {{ columns {{ left differingRowCount }} samples(kind: CHANGED, limit: 20) {{ key left right }} }} }} }}"""
COMPARED = f"query($id: ID!) {{ run(id: $id) {{ id reconciliationRuns {{ {PAIR_RUN} }} }} }}"
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { id __typename ... on Run { number status } ... on Task { name } } }"
VIEWER = "{ viewer { id email username role createdAt } }"
HEALTH = "{ health { database redis workers schedulerLagMs } }"
ENGINES = "{ connections { name type kind healthy message } }"


# The newest run of person 1 that was no special case, and that has a log.
USUAL_RUN = """SELECT run.id, run.playground_id, task_run.id FROM run
  JOIN playground ON playground.id = run.playground_id JOIN user ON user.id = playground.owner_id
  JOIN task_run ON task_run.run_id = run.id AND task_run.position = 0
  WHERE user.username = 'person-1' AND run.status = 'SUCCESS' AND run.trigger <> 'LIMITED'
    AND playground.id < '$wide'
    AND EXISTS (SELECT 1 FROM log_line WHERE log_line.task_run_id = task_run.id)
  ORDER BY run.id DESC LIMIT 1"""


def places(size: Size, mariadb: MariaDB, *, database: str) -> Places:
    """All of them person 1's, in a database that holds such a history."""
    found = mariadb.execute(USUAL_RUN.replace("$wide", history.playground_id(size.wide).hex), database=database)
    run, playground, task_run = (UUID(value) for value in found.splitlines()[-1].split())
    deep_runs = [history.run_id(number) for number in range(5, 255, 5)]
    deep_task_runs = [history.task_run_id(5, place) for place in range(1, 51)]
    return Places(
        usual=to_global("Playground", playground),
        usual_run=to_global("Run", run),
        deep=to_global("Playground", history.playground_id(size.deep)),
        deep_cursor=to_cursor(deep_runs[-1]),
        wide=to_global("Playground", history.playground_id(size.wide)),
        wide_run=to_global("Run", history.run_id(size.wide_run)),
        task_run=to_global("TaskRun", task_run),
        events_cursor=to_cursor(size.wide_events_before + 1_500),
        pair=to_global("Reconciliation", history.reconciliation_id(size.deep, 1)),
        pair_run=to_global("ReconciliationRun", history.reconciliation_run_id(5)),
        some=[to_global("Run", key) for key in deep_runs] + [to_global("TaskRun", key) for key in deep_task_runs],
        search="Flights",
    )


def questions(at: Places) -> Iterator[Question]:
    def ask(name: str, document: str, **variables: Any) -> Question:
        return Question(name=name, document=document, variables=variables)

    yield ask("viewer", VIEWER)
    yield ask("health", HEALTH)
    yield ask("engines", ENGINES)
    yield ask("20 playgrounds", PLAYGROUNDS, first=20)
    yield ask("100 playgrounds", PLAYGROUNDS, first=100)
    yield ask("playgrounds found by name", PLAYGROUNDS, first=20, search=at.search)
    yield ask("playgrounds not found by name", PLAYGROUNDS, first=20, search="no such name")
    yield ask("graph of 100 tasks", GRAPH, id=at.usual)
    yield ask("graph of 1,000 tasks", GRAPH, id=at.wide)
    yield ask("texts of 100 tasks, their columns", TEXTS, id=at.usual)
    yield ask("history, 20 runs", HISTORY, id=at.deep, first=20)
    yield ask("history, 100 runs", HISTORY, id=at.deep, first=100)
    yield ask("history, 20 runs far back", HISTORY, id=at.deep, first=20, after=at.deep_cursor)
    yield ask("history, failed", HISTORY, id=at.deep, first=20, status=["FAILED"])
    yield ask("history, failed and scheduled", HISTORY, id=at.deep, first=20, status=["FAILED"], trigger=["SCHEDULED"])
    yield ask("history, none such", HISTORY, id=at.deep, first=20, trigger=["RESUME"])
    yield ask("history, 20 runs of 1,000 tasks", HISTORY, id=at.wide, first=20)
    yield ask("run of 100 tasks", RUN_PAGE, id=at.usual_run)
    yield ask("run of 100 tasks, outputs", RUN_OUTCOMES, id=at.usual_run)
    yield ask("run of 1,000 tasks", RUN_PAGE, id=at.wide_run)
    yield ask("run of 1,000 tasks, outputs", RUN_OUTCOMES, id=at.wide_run)
    yield ask("task run", TASK_RUN_PAGE, id=at.task_run)
    yield ask("log of a task run", LOG, id=at.task_run)
    yield ask("50 events", EVENTS, id=at.usual_run, first=50)
    yield ask("100 events of many", EVENTS, id=at.wide_run, first=100, after=at.events_cursor)
    yield ask("reconciliations, last results", PAIRS, id=at.usual)
    yield ask("reconciliation, 20 results", PAIR_HISTORY, id=at.pair, first=20)
    yield ask("reconciliation run, samples", PAIR_RUN_PAGE, id=at.pair_run)
    yield ask("comparisons of a run", COMPARED, id=at.usual_run)
    yield ask("nodes by 100 ids", NODES, ids=at.some)

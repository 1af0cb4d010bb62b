"""One document for each field of the schema's roots that takes an id, and for all that wants a token."""

from typing import Any

ERRORS = "errors { code message path }"
MUTATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    # field: the payload's own field, and the input with the world's ids by name
    "createPlayground": ("playground { id }", {"name": "new"}),
    "updatePlayground": ("playground { id }", {"playgroundId": "$playground", "name": "other"}),
    "deletePlayground": ("deletedId", {"playgroundId": "$playground"}),
    "createTask": (
        "task { id }",
        {"playgroundId": "$playground", "name": "new", "type": "HIVE", "query": "SELECT 1"},
    ),
    "updateTask": ("task { id }", {"taskId": "$left", "name": "other"}),
    "deleteTask": ("deletedId", {"taskId": "$left"}),
    "setTaskChecks": (
        "task { id }",
        {"taskId": "$left", "checks": [{"kind": "NOT_NULL", "column": "one"}]},
    ),
    "setTaskParents": ("task { id }", {"taskId": "$right", "parentIds": []}),
    "uploadUdf": (
        "udf { id }",
        {"name": "new", "functionName": "fresh", "className": "com.example.Lower", "jar": "no file"},
    ),
    "updateUdf": ("udf { id }", {"udfId": "$udf", "name": "other"}),
    "deleteUdf": ("deletedId", {"udfId": "$udf"}),
    "runPlayground": ("run { id }", {"playgroundId": "$playground"}),
    "resumeRun": ("run { id }", {"runId": "$run"}),
    "startBackfill": (
        "backfill { id }",
        {"playgroundId": "$history", "from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    ),
    "cancelBackfill": ("backfill { id }", {"backfillId": "$backfill"}),
    "cancelRun": ("run { id }", {"runId": "$run"}),
    "createReconciliation": (
        "reconciliation { id }",
        {
            "playgroundId": "$playground",
            "leftTaskId": "$left",
            "rightTaskId": "$right",
            "mapping": [{"left": "a", "right": "a"}],
        },
    ),
    "updateReconciliation": (
        "reconciliation { id }",
        {"reconciliationId": "$pair", "mapping": [{"left": "b", "right": "b"}]},
    ),
    "deleteReconciliation": ("deletedId", {"reconciliationId": "$pair"}),
    "runReconciliation": ("reconciliationRun { id }", {"reconciliationId": "$pair"}),
    "cancelReconciliationRun": ("reconciliationRun { id }", {"reconciliationRunId": "$pairRun"}),
    "logout": ("loggedOut", {}),
    "register": ("session { accessToken }", {"email": "a@example.com", "username": "aa", "password": "12345678"}),
    "login": ("session { accessToken }", {"email": "a@example.com", "password": "12345678"}),
    "refreshSession": ("session { accessToken }", {"refreshToken": "x"}),
}
OPEN_MUTATIONS = {"register", "login", "refreshSession"}
OWN_MUTATIONS = OPEN_MUTATIONS | {"logout", "createPlayground", "uploadUdf"}  # about nothing that another could own

QUERIES: dict[str, str] = {
    "node": "{ node(id: %(playground)s) { id } }",
    "nodes": "{ nodes(ids: [%(playground)s, %(run)s]) { id } }",
    "connections": "{ connections { name } }",
    "preview": "{ preview(location: %(location)s) { columns } }",
    "playgrounds": "{ playgrounds { nodes { id } } }",
    "playground": "{ playground(id: %(playground)s) { id } }",
    "schedulePreview": '{ schedulePreview(cron: "@daily") { valid } }',
    "task": "{ task(id: %(left)s) { id } }",
    "queryFields": '{ queryFields(type: HIVE, query: "SELECT 1") { complete } }',
    "udfs": "{ udfs { nodes { id } } }",
    "run": "{ run(id: %(run)s) { id } }",
    "taskRun": "{ taskRun(id: %(leftRun)s) { id } }",
    "backfill": "{ backfill(id: %(backfill)s) { id } }",
    "reconciliation": "{ reconciliation(id: %(pair)s) { id } }",
    "reconciliationRun": "{ reconciliationRun(id: %(pairRun)s) { id } }",
    "suggestMapping": "{ suggestMapping(leftTaskId: %(left)s, rightTaskId: %(right)s) { whole } }",
    "viewer": "{ viewer { id } }",
    "health": "{ health { database redis workers schedulerLagMs } }",
}
OPEN_QUERIES = {"viewer", "health"}
BY_ID = {"playground", "task", "run", "taskRun", "backfill", "reconciliation", "reconciliationRun", "node"}

SUBSCRIPTIONS: dict[str, str] = {
    "runEvents": "subscription { runEvents(runId: %(run)s) { cursor } }",
    "playgroundEvents": "subscription { playgroundEvents(playgroundId: %(playground)s) { cursor } }",
    "taskLog": "subscription { taskLog(taskRunId: %(leftRun)s) { cursor } }",
    "reconciliationEvents": "subscription { reconciliationEvents(reconciliationRunId: %(pairRun)s) { cursor } }",
}


def mutation(field: str) -> str:
    payload = MUTATIONS[field][0]
    kind = field[0].upper() + field[1:]
    return f"mutation($i: {kind}Input!) {{ {field}(input: $i) {{ {payload} {ERRORS} }} }}"


def filled(value: Any, ids: dict[str, str]) -> Any:
    """The input with each `$name` replaced by that id."""
    if isinstance(value, str) and value.startswith("$"):
        return ids[value[1:]]
    if isinstance(value, dict):
        return {name: filled(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, ids) for each in value]
    return value


def query(field: str, ids: dict[str, str], *, location: str = "nowhere") -> str:
    quoted = {name: f'"{value}"' for name, value in {**ids, "location": location}.items()}
    return ({**QUERIES, **SUBSCRIPTIONS})[field] % quoted

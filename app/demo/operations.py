"""The GraphQL operations of the tour: what a client of one's own would send."""

FIND_PLAYGROUND = """
query FindPlayground($search: String!) {
  playgrounds(search: $search) {
    nodes {
      id name
      tasks { id name type }
      reconciliations { id }
      lastRun { id number status durationMs counts { total success failed } }
    }
  }
}
"""

CREATE_PLAYGROUND = """
mutation CreatePlayground($input: CreatePlaygroundInput!) {
  createPlayground(input: $input) { playground { id } errors { code message path } }
}
"""

CREATE_TASK = """
mutation CreateTask($input: CreateTaskInput!) {
  createTask(input: $input) { task { id } errors { code message path } }
}
"""

CREATE_RECONCILIATION = """
mutation CreateReconciliation($input: CreateReconciliationInput!) {
  createReconciliation(input: $input) { reconciliation { id } errors { code message path } }
}
"""

RUN_PLAYGROUND = """
mutation RunPlayground($input: RunPlaygroundInput!) {
  runPlayground(input: $input) { run { id number } errors { code message path } }
}
"""

RUN_EVENTS = """
subscription RunEvents($runId: ID!) {
  runEvents(runId: $runId) {
    cursor
    events {
      at status message
      taskRun { id name type durationMs error { code message } output { rowCount } }
    }
  }
}
"""

RUN = """
query Run($id: ID!) {
  run(id: $id) { number status durationMs counts { total success failed upstreamFailed } }
}
"""

RUN_RECONCILIATION = """
mutation RunReconciliation($input: RunReconciliationInput!) {
  runReconciliation(input: $input) { reconciliationRun { id } errors { code message path } }
}
"""

RECONCILIATION_EVENTS = """
subscription ReconciliationEvents($id: ID!) {
  reconciliationEvents(reconciliationRunId: $id) { events { status progress message } }
}
"""

RECONCILIATION_RUN = """
query ReconciliationRun($id: ID!) {
  reconciliationRun(id: $id) {
    status method durationMs
    mapping { left right key }
    leftTaskRun { name type }
    rightTaskRun { name type }
    error { code message }
    result {
      matched leftRowCount rightRowCount commonRowCount changedRowCount leftOnlyRowCount rightOnlyRowCount
      columns { left right differingRowCount maxAbsoluteDifference }
      samples(kind: CHANGED, limit: 5) { key left right changedColumns }
      warnings
    }
  }
}
"""

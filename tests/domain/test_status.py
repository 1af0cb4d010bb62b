"""The transition tables, pair by pair, and the roll-up of a run."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.status import (
    RECONCILIATION_TRANSITIONS,
    RUN_TRANSITIONS,
    TASK_RUN_TRANSITIONS,
    BackfillStatus,
    ReconciliationStatus,
    RunStatus,
    TaskRunStatus,
    roll_up,
    roll_up_runs,
    sources_of,
)

TASK_RUN = {
    "PENDING": "QUEUED SKIPPED UPSTREAM_FAILED CANCELLED",
    "QUEUED": "RUNNING SKIPPED UPSTREAM_FAILED CANCELLED",
    "RUNNING": "SUCCESS FAILED CANCELLED QUEUED",
}
RUN = {"PENDING": "RUNNING CANCELLED", "RUNNING": "SUCCESS PARTIAL_SUCCESS FAILED CANCELLED"}
RECONCILIATION = {"PENDING": "RUNNING CANCELLED FAILED", "RUNNING": "SUCCESS FAILED CANCELLED PENDING"}
MACHINES = [
    pytest.param(TaskRunStatus, TASK_RUN_TRANSITIONS, TASK_RUN, id="task run"),
    pytest.param(RunStatus, RUN_TRANSITIONS, RUN, id="run"),
    pytest.param(ReconciliationStatus, RECONCILIATION_TRANSITIONS, RECONCILIATION, id="reconciliation run"),
]
ENDED = {
    TaskRunStatus: "SUCCESS FAILED UPSTREAM_FAILED SKIPPED CANCELLED",
    RunStatus: "SUCCESS PARTIAL_SUCCESS FAILED CANCELLED",
    ReconciliationStatus: "SUCCESS FAILED CANCELLED",
}


@pytest.mark.parametrize(("vocabulary", "table", "expected"), MACHINES)
def test_exactly_the_documented_transitions_are_permitted(
    vocabulary: type[StrEnum], table: Mapping[Any, frozenset[Any]], expected: dict[str, str]
) -> None:
    for source, target in product(vocabulary, repeat=2):
        permitted = target.value in expected.get(source.value, "").split()
        assert (target in table[source]) is permitted, f"{source} → {target}"
        assert (source in sources_of(table, target)) is permitted, f"{source} → {target}"


@pytest.mark.parametrize(("vocabulary", "table", "expected"), MACHINES)
def test_an_ended_status_never_changes(
    vocabulary: type[Any], table: Mapping[Any, frozenset[Any]], expected: dict[str, str]
) -> None:
    assert {status.value for status in vocabulary if status.ended} == set(ENDED[vocabulary].split())
    assert not set(expected) & set(ENDED[vocabulary].split())
    for status in vocabulary:
        if status.ended:
            assert not table[status]
            assert not [target for target in vocabulary if status in sources_of(table, target)]


@pytest.mark.parametrize(
    ("statuses", "cancel_requested", "expected"),
    [
        ("SUCCESS", False, "SUCCESS"),
        ("SUCCESS SKIPPED", False, "SUCCESS"),
        ("SKIPPED", False, "SUCCESS"),
        ("FAILED", False, "FAILED"),
        ("FAILED UPSTREAM_FAILED", False, "FAILED"),
        ("FAILED SKIPPED", False, "FAILED"),
        ("SUCCESS FAILED", False, "PARTIAL_SUCCESS"),
        ("SUCCESS FAILED UPSTREAM_FAILED SKIPPED", False, "PARTIAL_SUCCESS"),
        ("SUCCESS", True, "SUCCESS"),  # cancelling came too late to cut anything short
        ("SUCCESS CANCELLED", True, "CANCELLED"),
        ("FAILED CANCELLED", True, "CANCELLED"),
        ("SUCCESS FAILED", True, "PARTIAL_SUCCESS"),
        ("FAILED", True, "FAILED"),
    ],
)
def test_a_run_is_rolled_up(statuses: str, cancel_requested: bool, expected: str) -> None:
    seen = [TaskRunStatus(status) for status in statuses.split()]
    assert roll_up(seen, cancel_requested=cancel_requested) is RunStatus(expected)


ended_statuses = st.lists(st.sampled_from([status for status in TaskRunStatus if status.ended]), min_size=1)


@given(statuses=ended_statuses, cancel_requested=st.booleans())
def test_a_roll_up_is_an_end_that_says_what_happened(statuses: list[TaskRunStatus], cancel_requested: bool) -> None:
    result = roll_up(statuses, cancel_requested=cancel_requested)
    failed = {TaskRunStatus.FAILED, TaskRunStatus.UPSTREAM_FAILED} & set(statuses)
    cut = TaskRunStatus.CANCELLED in statuses
    assert result.ended
    assert (result is RunStatus.CANCELLED) == (cancel_requested and cut)
    if result is RunStatus.SUCCESS:
        assert not failed
        assert not cut
    if result in {RunStatus.FAILED, RunStatus.PARTIAL_SUCCESS}:
        assert failed or cut
        assert (TaskRunStatus.SUCCESS in statuses) == (result is RunStatus.PARTIAL_SUCCESS)


@given(statuses=ended_statuses, cancel_requested=st.booleans(), order=st.randoms())
def test_a_roll_up_does_not_depend_on_order_or_on_skipped_tasks(
    statuses: list[TaskRunStatus], cancel_requested: bool, order: Any
) -> None:
    mixed = [*statuses, TaskRunStatus.SKIPPED]
    order.shuffle(mixed)
    assert roll_up(mixed, cancel_requested=cancel_requested) is roll_up(statuses, cancel_requested=cancel_requested)


@pytest.mark.parametrize(
    ("runs", "cancelled", "expected"),
    [
        ("SUCCESS", False, "SUCCESS"),
        ("", False, "SUCCESS"),
        ("SUCCESS FAILED", False, "PARTIAL_SUCCESS"),
        ("PARTIAL_SUCCESS", False, "PARTIAL_SUCCESS"),
        ("SUCCESS CANCELLED", False, "PARTIAL_SUCCESS"),
        ("FAILED CANCELLED", False, "FAILED"),
        ("CANCELLED", False, "FAILED"),
        ("SUCCESS CANCELLED", True, "CANCELLED"),
        ("SUCCESS", True, "CANCELLED"),
    ],
)
def test_the_runs_of_a_backfill_are_rolled_up(runs: str, cancelled: bool, expected: str) -> None:
    counts = dict.fromkeys(map(RunStatus, runs.split()), 1)
    assert roll_up_runs({**counts, RunStatus.RUNNING: 0}, cancelled=cancelled) is BackfillStatus(expected)

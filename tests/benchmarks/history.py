"""A history to ask about, made by the database itself: the same rows every time, a statement for each table.

1,000 playgrounds of 20 people, the busiest with 223 of them; 10,000 runs with a million task runs, all their events,
attempts and edges; the log lines of every tenth run; 10,000 reconciliation runs. Person 1 owns the two playgrounds that
stand out: the wide one has 1,000 tasks, and the deep one 2,000 runs.
"""

import json
from dataclasses import asdict, dataclass
from uuid import UUID

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions
from app.domain.reconciliation.result import ColumnDifference, DifferenceKind, ReconciliationResult, RowDifference
from app.models import Base

PASSWORD = "correct horse"
AT_ONCE = 3  # tasks of a run that is on
LOGGED = 3  # runs whose number ends in this have log lines
START_MS = 1_767_571_200_000  # 2026-01-05
RUN_MS, PLAYGROUND_MS, DAY_MS = 600_000, 60_000, 86_400_000
QUERY_BYTES = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much there is; every fifth run is of the deep playground, and every hundredth of the wide one."""

    people: int = 20
    playgrounds: int = 1000
    runs: int = 10_000
    wide_tasks: int = 1000
    deep_tasks: int = 55
    usual_tasks: int = 100

    @property
    def deep(self) -> int:
        """The number of a playground, as `wide`."""
        return self.playgrounds

    @property
    def wide(self) -> int:
        return self.playgrounds - 1

    @property
    def wide_run(self) -> int:
        """The number among all of a run of the wide playground: the last but one."""
        return self.runs - 199

    @property
    def wide_events_before(self) -> int:
        """The events of the wide playground before that run."""
        return (self.runs // 100 - 2) * (3 + 3 * self.wide_tasks)


def key(at_ms: int, kind: int, number: int) -> UUID:
    """The id, in UUIDv7's form and order, that `_key` gives in SQL."""
    return UUID(hex=f"{at_ms:012x}7{kind:03x}8{number:015x}")


def person_id(number: int) -> UUID:
    return key(START_MS - 200 * DAY_MS, 0, number)


def playground_id(number: int) -> UUID:
    return key(START_MS - 100 * DAY_MS + number * PLAYGROUND_MS, 0, number)


def run_id(number: int) -> UUID:
    """Of the run with this number among all: the deep playground has 5, 10, 15, …, the wide one 1, 101, 201, …"""
    return key(START_MS + number * RUN_MS, 0, number)


def task_run_id(run: int, place: int) -> UUID:
    """Of the task that stands at this place, from 1, of the run with this number among all."""
    return key(START_MS + run * RUN_MS, place, run)


def reconciliation_id(playground: int, number: int) -> UUID:
    return key(START_MS - 90 * DAY_MS, number, playground)


def reconciliation_run_id(run: int) -> UUID:
    return key(START_MS + run * RUN_MS + 1, 0, run)


def email(person: int) -> str:
    return f"person-{person}@example.com"


def statements(size: Size, *, password_hash: str) -> list[str]:
    """To be run in one session of an empty, migrated MariaDB."""
    return [
        # Without these checks a statement that fills an empty table builds its indexes at the end, sorted.
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES', foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00'",
        *_helpers(size),
        *(text.replace("$PASSWORD_HASH", password_hash) for text in _tables(size)),
        "DROP TABLE seed_task, seed_run, seed_task_run",
        f"ANALYZE TABLE {', '.join(Base.metadata.tables)}",
    ]


def _head(at_ms: str) -> str:
    return f"CONCAT(LOWER(LPAD(HEX({at_ms}), 12, '0')), '7')"


def _tail(number: str) -> str:
    return f"CONCAT('8', LOWER(LPAD(HEX({number}), 15, '0')))"


def _key(at_ms: str, kind: str, number: str) -> str:
    return f"CONCAT({_head(at_ms)}, {_three(kind)}, {_tail(number)})"


def _three(kind: str) -> str:
    return f"LOWER(LPAD(HEX({kind}), 3, '0'))"


def _at(milliseconds: str) -> str:
    return f"TIMESTAMPADD(MICROSECOND, 1000 * ({milliseconds}), '2026-01-05')"


def _result() -> ReconciliationResult:
    rows = tuple(
        RowDifference(
            kind=DifferenceKind.CHANGED, rows=1, key=(str(number),), left=(str(number), "1.0"),
            right=(str(number), "2.0"), changed_columns=("amount",), left_count=1, right_count=1,
        )
        for number in range(20)
    )  # fmt: skip
    return ReconciliationResult(
        matched=False, left_row_count=1000, right_row_count=1000, common_row_count=980, changed_row_count=20,
        left_only_row_count=0, right_only_row_count=0, exact=True, false_positive_rate=None,
        method=ReconciliationMethod.EXACT, mapping=_MAPPING,
        columns=(ColumnDifference(left="amount", right="amount", differing_row_count=20, max_absolute_difference=1.0),),
        samples={DifferenceKind.CHANGED: rows}, warnings=(),
    )  # fmt: skip


_MAPPING = (ColumnMapping(left="id", right="id", key=True), ColumnMapping(left="amount", right="amount"))
_DOCUMENT = _result().to_document()
_SAMPLES = json.dumps(_DOCUMENT.pop("samples"))
_RESULT = json.dumps(_DOCUMENT)
_PAIR = json.dumps([asdict(pair) for pair in _MAPPING])
_OPTIONS = json.dumps(asdict(ReconciliationOptions()))
_LOCATION = "CONCAT('2026-01-05/', playground, '/', id, '/', head, three, tail, '/1/output.csv')"
_COLUMNS = json.dumps([{"name": f"column_{number}", "type": "VARCHAR"} for number in range(8)])

# A task waits for the tenth before it, and every fifth for the ninth before it as well.
_ABOVE = "SELECT 9 AS above UNION SELECT 10"
_IS_ABOVE = "t > 10 AND (above = 10 OR t % 5 = 0)"
_USER = _key(f"{START_MS - 200 * DAY_MS}", "0", "u")
_PLAYGROUND_MS = f"{START_MS - 100 * DAY_MS} + p * {PLAYGROUND_MS}"
_RUN_MS = f"{START_MS} + r * {RUN_MS}"
_BEGUN_MS = f"r * {RUN_MS} + 100 * t"
_PAIR_RUN = _key(f"{_RUN_MS} + 1", "0", "r")
_TYPE = "ELT(1 + t % 5, 'HIVE', 'PRESTO', 'SPARK_SQL', 'PYSPARK', 'MYSQL')"
_QUERY = f"""CONCAT(RPAD(CONCAT('SELECT id, SUM(amount) AS amount, ', t, ' AS place FROM orders WHERE region IN (1'),
  {QUERY_BYTES}, ', 12'), ') GROUP BY id')"""

# In these a row is a run (or a task) with what many tables need of it: the parts of its ids, and how far it came. The
# first `begun` of a run's tasks were begun, and so its events can be numbered by counting.
_TASK_RUNS = "seed_run STRAIGHT_JOIN seed_task_run USING (r)"


def _helpers(size: Size) -> tuple[str, ...]:
    return (
        f"""CREATE TABLE seed_task (p INT, t INT, playground CHAR(32), head CHAR(13), tail CHAR(16), three CHAR(3),
        PRIMARY KEY (p, t)) ENGINE=InnoDB AS
      SELECT p, seq AS t, {_key(_PLAYGROUND_MS, "0", "p")} AS playground, {_head(_PLAYGROUND_MS)} AS head,
        {_tail("p")} AS tail, {_three("seq")} AS three
      FROM (SELECT seq AS p, CASE seq WHEN {size.wide} THEN {size.wide_tasks} WHEN {size.deep} THEN {size.deep_tasks}
          ELSE {size.usual_tasks} END AS n FROM seq_1_to_{size.playgrounds}) AS playgrounds
        STRAIGHT_JOIN seq_1_to_{size.wide_tasks} ON seq <= n""",
        f"""CREATE TABLE seed_run (r INT PRIMARY KEY, p INT, number INT, cause VARCHAR(20), state VARCHAR(20))
      ENGINE=InnoDB AS
      SELECT r, p, ROW_NUMBER() OVER (PARTITION BY p ORDER BY r) AS number,
        ELT(1 + CRC32(CONCAT('cause', r)) % 10, 'AD_HOC', 'AD_HOC', 'AD_HOC', 'LIMITED', 'SCHEDULED', 'SCHEDULED',
          'SCHEDULED', 'SCHEDULED', 'SCHEDULED', 'SCHEDULED') AS cause,
        ELT(1 + CRC32(CONCAT('state', r)) % 20, 'FAILED', 'CANCELLED', 'CANCELLED', 'PARTIAL_SUCCESS',
          'PARTIAL_SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS',
          'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS') AS state
      FROM (SELECT seq AS r, CASE
          WHEN seq % 5 = 0 THEN {size.deep} WHEN seq % 100 = 1 THEN {size.wide}
          ELSE 1 + (ROW_NUMBER() OVER (PARTITION BY seq % 5 = 0, seq % 100 = 1 ORDER BY seq) * 389)
            % {size.playgrounds - 2} END AS p
        FROM seq_1_to_{size.runs}) AS placed""",
        f"""UPDATE seed_run JOIN (SELECT p, MAX(r) AS r FROM seed_run GROUP BY p) AS newest USING (p, r)
      SET state = 'RUNNING', cause = 'SCHEDULED' WHERE r > {size.runs} - 40""",
        f"UPDATE seed_run SET state = 'SUCCESS', cause = 'AD_HOC' WHERE p = {size.wide}",
        """ALTER TABLE seed_run ADD n INT, ADD begun INT, ADD head CHAR(13), ADD tail CHAR(16), ADD id CHAR(32),
      ADD playground CHAR(32), ADD events INT""",
        f"""UPDATE seed_run JOIN (SELECT p, playground, COUNT(*) AS n FROM seed_task GROUP BY p) AS tasks USING (p)
      SET seed_run.n = tasks.n, seed_run.playground = tasks.playground, head = {_head(_RUN_MS)}, tail = {_tail("r")},
        id = {_key(_RUN_MS, "0", "r")},
        begun = LEAST(IF(cause = 'LIMITED', tasks.n DIV 2, tasks.n), CASE state WHEN 'PARTIAL_SUCCESS'
          THEN CEIL(tasks.n * 0.4) WHEN 'FAILED' THEN 10 WHEN 'CANCELLED' THEN FLOOR(tasks.n * 0.3)
          WHEN 'RUNNING' THEN tasks.n DIV 2 ELSE tasks.n END)""",
        """UPDATE seed_run JOIN (SELECT r, SUM(3 + n + 2 * begun) OVER (PARTITION BY p ORDER BY r) - (3 + n + 2 * begun)
        AS events FROM seed_run) AS counted USING (r) SET seed_run.events = counted.events""",
        f"""CREATE TABLE seed_task_run (r INT, t INT, three CHAR(3), status VARCHAR(20), PRIMARY KEY (r, t))
      ENGINE=InnoDB AS
      SELECT r, t, three, CASE
          WHEN t <= begun THEN CASE WHEN state = 'FAILED' OR state = 'PARTIAL_SUCCESS' AND t = begun THEN 'FAILED'
            WHEN state = 'RUNNING' AND t > begun - {AT_ONCE} THEN 'RUNNING' ELSE 'SUCCESS' END
          WHEN cause = 'LIMITED' AND t > n DIV 2 THEN 'SKIPPED'
          WHEN state = 'CANCELLED' THEN 'CANCELLED' WHEN state = 'RUNNING' THEN 'PENDING' ELSE 'UPSTREAM_FAILED'
        END AS status
      FROM seed_run STRAIGHT_JOIN seed_task USING (p)""",
    )


def _tables(size: Size) -> tuple[str, ...]:
    return (
        f"""INSERT INTO user (id, email, username, password_hash, role, created_at)
      SELECT {_USER}, CONCAT('person-', u, '@example.com'), CONCAT('person-', u), '$PASSWORD_HASH', 'USER', '2025-06-01'
      FROM (SELECT seq AS u FROM seq_1_to_{size.people}) AS people""",
        f"""INSERT INTO task (id, playground_id, name, type, query, max_retries, retry_delay_ms, created_at,
        modified_at)
      SELECT CONCAT(head, three, tail), playground, CONCAT('task ', t), {_TYPE}, {_QUERY}, 3, 1000, '2025-10-01',
        '2025-10-01' FROM seed_task""",
        f"""INSERT INTO task_edge (parent_id, child_id, playground_id)
      SELECT CONCAT(head, {_three("t - above")}, tail), CONCAT(head, three, tail), playground
      FROM seed_task STRAIGHT_JOIN ({_ABOVE}) AS parents ON {_IS_ABOVE}""",
        f"""INSERT INTO run (id, playground_id, number, `trigger`, status, scheduled_for, series, created_at,
        started_at, ended_at,
        cancel_requested)
      SELECT id, playground, number, cause, state, IF(cause = 'SCHEDULED', {_at(f"r * {RUN_MS}")}, NULL),
        '', {_at(f"r * {RUN_MS}")}, {_at(f"r * {RUN_MS} + 20")},
        IF(state = 'RUNNING', NULL, {_at(f"r * {RUN_MS} + 100 * (n + 2)")}), state = 'CANCELLED'
      FROM seed_run""",
        f"""INSERT INTO task_run (id, run_id, playground_id, task_id, position, name, type, query, max_retries,
        retry_delay_ms, pool, lane, status, pending_parents, attempt, losses, queued_at, started_at, ended_at,
        worker_id, handle, handle_durable, carried_over, error_code, error_message, error_retriable,
        output_location, output_format, output_delimiter, output_size_bytes, output_row_count, output_columns)
      SELECT CONCAT(head, three, tail), id, playground, CONCAT({_head(_PLAYGROUND_MS)}, three, {_tail("p")}), t - 1,
        CONCAT('task ', t), {_TYPE}, {_QUERY}, 3, 1000,
        IF(cause = 'SCHEDULED', 'SCHEDULED', 'ADHOC'), 'embedded',
        status, 0, t <= begun, 0,
        IF(t <= begun, {_at(_BEGUN_MS)}, NULL), IF(t <= begun, {_at(f"{_BEGUN_MS} + 10")}, NULL),
        IF(status IN ('RUNNING', 'PENDING'), NULL, {_at(f"{_BEGUN_MS} + 90")}),
        IF(status = 'RUNNING', {_key(str(START_MS), "0", "1")}, NULL),
        IF(t <= begun, CONCAT('query-', r, '-', t), NULL), 0, 0, IF(status = 'FAILED', 'SYNTAX', NULL),
        IF(status = 'FAILED', 'There is no table orders.', NULL), IF(status = 'FAILED', 0, NULL),
        IF(status = 'SUCCESS', {_LOCATION}, NULL),
        IF(status = 'SUCCESS', 'CSV', NULL), IF(status = 'SUCCESS', ',', NULL), IF(status = 'SUCCESS', 48213, NULL),
        IF(status = 'SUCCESS', 1000, NULL), IF(status = 'SUCCESS', '{_COLUMNS}', NULL)
      FROM {_TASK_RUNS}""",
        f"""INSERT INTO task_run_edge (parent_id, child_id)
      SELECT CONCAT(head, {_three("t - above")}, tail), CONCAT(head, three, tail)
      FROM {_TASK_RUNS} STRAIGHT_JOIN ({_ABOVE}) AS parents ON {_IS_ABOVE}""",
        f"""INSERT INTO task_attempt (task_run_id, attempt, status, worker_id, handle, started_at, ended_at, error_code,
        error_message, output_location)
      SELECT CONCAT(head, three, tail), 1, status, NULL, CONCAT('query-', r, '-', t), {_at(f"{_BEGUN_MS} + 10")},
        {_at(f"{_BEGUN_MS} + 90")}, IF(status = 'FAILED', 'SYNTAX', NULL),
        IF(status = 'FAILED', 'There is no table orders.', NULL),
        IF(status = 'SUCCESS', {_LOCATION}, NULL)
      FROM {_TASK_RUNS} WHERE t <= begun AND status <> 'RUNNING'""",
        f"""INSERT INTO event (playground_id, sequence, run_id, task_run_id, status, attempt, at)
      SELECT playground, events + step, id, NULL, ELT(step, 'PENDING', 'RUNNING'), NULL,
        {_at(f"r * {RUN_MS} + 10 * step")}
      FROM seed_run STRAIGHT_JOIN (SELECT 1 AS step UNION SELECT 2) AS steps
      UNION ALL SELECT playground, events + 3 + n + 2 * begun, id, NULL, state, NULL,
        {_at(f"r * {RUN_MS} + 100 * (n + 2)")} FROM seed_run WHERE state <> 'RUNNING'
      UNION ALL SELECT playground,
        events + 2 + 3 * LEAST(t - 1, begun) + GREATEST(0, t - 1 - begun) + IF(t <= begun, step, 1)
          - IF(state = 'RUNNING', GREATEST(0, t - 1 - (begun - {AT_ONCE})), 0),
        id, CONCAT(head, three, tail), ELT(step, 'QUEUED', 'RUNNING', status), IF(t <= begun, step > 1, 0),
        {_at(f"{_BEGUN_MS} + ELT(step, 0, 10, 90)")}
      FROM {_TASK_RUNS} STRAIGHT_JOIN (SELECT 1 AS step UNION SELECT 2 UNION SELECT 3) AS steps
      WHERE status <> 'PENDING' AND (step = 3 OR t <= begun) AND (step < 3 OR status <> 'RUNNING')""",
        f"""INSERT INTO log_line (task_run_id, sequence, attempt, at, stream, text)
      SELECT CONCAT(head, three, tail), seq, 1, {_at(f"{_BEGUN_MS} + 10 + seq")}, 'engine',
        CONCAT('Stage ', seq, ' of 10: read 48,213 bytes in 120 ms')
      FROM {_TASK_RUNS} STRAIGHT_JOIN seq_1_to_10 WHERE r % 10 = {LOGGED} AND t <= begun""",
        f"""INSERT INTO reconciliation (id, playground_id, left_task_id, right_task_id, mapping, options, created_at,
        modified_at)
      SELECT {_key(f"{START_MS - 90 * DAY_MS}", "t", "p")}, playground, CONCAT(head, '001', tail),
        CONCAT(head, {_three("t + 1")}, tail), '{_PAIR}', '{_OPTIONS}', '2025-10-08', '2025-10-08'
      FROM seed_task WHERE t <= 3""",
        f"""INSERT INTO reconciliation_run (id, reconciliation_id, playground_id, left_task_run_id, right_task_run_id,
        mapping, options, status, progress, cancel_requested, event_sequence, created_at, started_at, ended_at, result,
        samples)
      SELECT {_PAIR_RUN}, {_key(f"{START_MS - 90 * DAY_MS}", "1 + number % 3", "p")}, playground,
        CONCAT(head, '001', tail), CONCAT(head, {_three("2 + number % 3")}, tail), '{_PAIR}', '{_OPTIONS}', 'SUCCESS',
        1, 0, 4, {_at(f"r * {RUN_MS} + 60000")}, {_at(f"r * {RUN_MS} + 60010")}, {_at(f"r * {RUN_MS} + 60500")},
        '{_RESULT}', '{_SAMPLES}'
      FROM seed_run""",
        f"""INSERT INTO reconciliation_event (reconciliation_run_id, sequence, at, status, progress, message)
      SELECT {_PAIR_RUN}, seq, {_at(f"r * {RUN_MS} + 60000 + 100 * seq")},
        ELT(seq, 'PENDING', 'RUNNING', 'RUNNING', 'SUCCESS'), ELT(seq, 0, 0, 0.5, 1), NULL
      FROM seed_run STRAIGHT_JOIN seq_1_to_4""",
        f"""INSERT INTO playground (id, owner_id, name, description, created_at, modified_at, schedule_cron,
        schedule_timezone, schedule_paused, schedule_catchup, next_fire_at, active_run_id, last_run_number,
        event_sequence)
      SELECT playground, {_USER}, CONCAT(ELT(1 + p % 4, 'Orders ', 'Flights ', 'Revenue ', 'Churn '), p),
        'Compares the two pipelines.', '2025-09-27', '2025-09-27', IF(p % 2, '30 6 * * *', NULL), 'Europe/Berlin',
        p % 8 = 1, 'SKIP', IF(p % 2, '2036-01-06 05:30:00', NULL),
        (SELECT id FROM seed_run WHERE seed_run.p = owned.p AND state = 'RUNNING'),
        COALESCE((SELECT MAX(number) FROM seed_run WHERE seed_run.p = owned.p), 0),
        COALESCE((SELECT MAX(sequence) FROM event WHERE event.playground_id = playground), 0)
      FROM (SELECT p, playground, 1 + FLOOR({size.people} * POW(({size.playgrounds} - p) / {size.playgrounds}, 2)) AS u
        FROM seed_task WHERE t = 1) AS owned""",
    )

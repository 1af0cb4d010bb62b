"""The vocabularies of the domain as enums of the schema; imported before any type that uses one."""

from enum import Enum

import strawberry
from strawberry.types.enum import has_enum_definition

from app.domain.checks.checks import CheckSeverity, DataCheckKind
from app.domain.errors import ErrorCode
from app.domain.outputs import OutputFormat
from app.domain.playgrounds import PlaygroundStatus
from app.domain.reconciliation.confidence import Confidence
from app.domain.reconciliation.options import ReconciliationMethod
from app.domain.reconciliation.result import DifferenceKind
from app.domain.schedule import CatchupPolicy
from app.domain.status import BackfillStatus, ReconciliationStatus, RunStatus, RunTrigger, TaskRunStatus
from app.domain.tasks import TaskType
from app.domain.udfs import UdfKind
from app.models import Role


def _describe(vocabulary: type[Enum], description: str, **members: str) -> None:
    """Make an enum of the schema, every member described.

    strawberry would have the descriptions in the members themselves, and the domain knows nothing of it.
    """
    strawberry.enum(vocabulary, name=vocabulary.__name__, description=description)
    if set(members) != set(vocabulary.__members__) or not has_enum_definition(vocabulary):
        raise AssertionError(f"{vocabulary.__name__} has other members than are described")
    for value in vocabulary.__strawberry_definition__.values:
        value.description = members[value.name]


_describe(
    TaskType,
    "The language of a task's text.",
    HIVE="HiveQL.",
    PRESTO="SQL as Presto and Trino speak it.",
    SPARK_SQL="SQL as Spark speaks it.",
    PYSPARK="A Python script that uses PySpark.",
    MYSQL="SQL as MySQL and MariaDB speak it.",
)
_describe(
    CatchupPolicy,
    "What to do with fire times missed while nothing was running.",
    SKIP="Leave them out.",
    LATEST="Run once, for the latest of them.",
    ALL="Run once for each of them, the oldest first.",
)
_describe(
    PlaygroundStatus,
    "Whether a run is on.",
    IDLE="No run is on.",
    RUNNING="A run or a backfill is on.",
)
_describe(
    RunTrigger,
    "Why a run was started.",
    SCHEDULED="A fire time of the playground's schedule had come.",
    AD_HOC="Somebody asked for all tasks.",
    LIMITED="Somebody asked for certain tasks.",
    RESUME="Somebody asked to go on with a run that had ended.",
    BACKFILL="A backfill has come to one of its fire times.",
)
_describe(
    BackfillStatus,
    "Where a backfill stands.",
    RUNNING="It has runs to start, or runs that are on.",
    SUCCESS="All its runs have succeeded.",
    PARTIAL_SUCCESS="It has ended; something succeeded and something did not.",
    FAILED="It has ended, and nothing succeeded.",
    CANCELLED="It was cancelled before everything was done.",
)
_describe(
    RunStatus,
    "Where a run stands.",
    PENDING="It waits for a worker.",
    RUNNING="Its tasks are being run.",
    SUCCESS="It has ended, and nothing failed.",
    PARTIAL_SUCCESS="It has ended; some tasks succeeded and some did not.",
    FAILED="It has ended, and nothing succeeded.",
    CANCELLED="It was cancelled before everything was done, or its fire was skipped.",
)
_describe(
    TaskRunStatus,
    "Where a task run stands.",
    PENDING="It waits for its parents.",
    QUEUED="It waits for a worker, or for the time of its next attempt.",
    RUNNING="An engine works on it.",
    SUCCESS="It has an output.",
    FAILED="It has failed, and is not tried again.",
    UPSTREAM_FAILED="Something that it depends on failed, so it was not run.",
    SKIPPED="It was left out of a limited run.",
    CANCELLED="It was cut short, or never begun, because its run was cancelled.",
)
_describe(
    UdfKind,
    "Which engines can call a function.",
    HIVE="Hive and Spark: its class extends Hive's UDF, GenericUDF, UDAF or GenericUDTF.",
    SPARK="Spark alone: its class implements one of Spark's interfaces UDF0 to UDF22.",
)
_describe(OutputFormat, "How an output is written.", CSV="Text by RFC 4180, with a header.", PARQUET="Apache Parquet.")
_describe(
    DataCheckKind,
    "What a check asks of an output. Only NOT_NULL fails a NULL; the empty string is a value like any other.",
    NOT_NULL="No row has NULL in the column. There are no arguments.",
    UNIQUE="No two rows have the same text in the column, or the same ones in all of `columns`; a row with a NULL "
    "there is like no other. Rows that repeat another's fail.",
    ACCEPTED_VALUES="Every text in the column is one of `values`, to the letter.",
    RANGE="Every value is a number from `min` to `max`, both included, or a date or timestamp where these are texts "
    'such as "2026-01-05"; one of them may be left out. What is no number, or no timestamp, fails.',
    MATCHES="Every text in the column matches the whole `pattern`, a regular expression as RE2 has it.",
    ROW_COUNT="There are from `min` to `max` rows, and at most `maxChangePercent` more or fewer than in the task's "
    "last successful run before this one, if there was one; each of the three may be left out.",
    FRESHNESS="The newest date or timestamp of the column is at most `maxAge` older than the output: an ISO 8601 "
    'duration such as "PT6H" or "P1DT12H". One without an offset is in UTC. Fails where there is none.',
    SQL="The `query`, one SELECT of DuckDB's over the table `output`, gives no rows: each that it gives is a failing "
    "one. A column has its engine's type where every cell can have it, and else is text.",
)
_describe(
    CheckSeverity,
    "What follows where a check fails, or cannot be run.",
    WARN="The result is shown, and nothing else.",
    ERROR="The task fails with the code CHECK_FAILED, and what depends on it is not run.",
)
_describe(
    Role,
    "What an account may do.",
    ADMIN="What a user may; for whoever runs the platform.",
    USER="Everything with what is its own, and nothing with what is another's.",
)
_describe(
    ReconciliationMethod,
    "How the answer is found; it is the same by both.",
    EXACT="Both sides are held in memory.",
    BLOOM="Bloom filters find the candidates, which are then compared exactly in bounded memory.",
)
_describe(
    ReconciliationStatus,
    "Where a reconciliation run stands.",
    PENDING="It waits for a worker.",
    RUNNING="The two sides are being compared.",
    SUCCESS="It has a result, whether the sides match or not.",
    FAILED="The sides could not be compared.",
    CANCELLED="It was cancelled.",
)
_describe(
    Confidence,
    "How sure a suggestion is.",
    HIGH="The names say so, and the values do not speak against it.",
    MEDIUM="Much speaks for it.",
    LOW="It may well be chance: have a look.",
)
_describe(
    DifferenceKind,
    "How a row differs, or that it does not.",
    LEFT_ONLY="Only the left side has it.",
    RIGHT_ONLY="Only the right side has it.",
    CHANGED="Both sides have the key, with other values.",
    COMMON="Both sides have it.",
)
_describe(
    ErrorCode,
    "What kind of refusal it is.",
    INVALID="A value cannot be; the path names it.",
    NOT_FOUND="There is no such object, or it is not yours.",
    CONFLICT="Something else is in the way now, such as a run that is on.",
    CYCLE="The edges would close a cycle.",
    ILLEGAL_STATE="The object has gone past the state in which this can be done.",
    TAKEN="The name is in use.",
    BAD_CREDENTIALS="The address or the password is wrong.",
    EXPIRED="The token or link does not work any more.",
    TOO_LARGE="The value is longer, or there are more of them, than is taken.",
    UNAVAILABLE="A part of the platform that is needed does not answer now.",
    PRUNED="What was asked for was deleted by the rules of retention.",
)

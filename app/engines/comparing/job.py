"""The comparison as a job of Spark's, on a cluster by spark-submit or by a thin client: one shuffle finds what differs.

Each record becomes a row: its group (the key), its canonical cells, and the cells as written. Equal rows of both sides
are counted, and so paired; what has as many on either side is common, whatever its number. The rest is brought together
by its group, and settled there as the exact method does. A partition that is too large for memory is sorted on disk by
Spark; in memory there is one group's rest at a time. Everything that is shuffled is compared in full, and no hash
decides what is equal. Filters would save nothing here: a row has to be counted, be it missing on the other side or not.

Only functions of plain Python are given to Spark, and bring what they need along: the cluster needs Python alone.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import functions as f
from pyspark.sql import types as t

from app.domain.reconciliation.exact import Duplicates
from app.domain.reconciliation.mapping import check_mapping, find_columns
from app.domain.reconciliation.merging import DifferenceLines, Outcome, Totals, merged_result
from app.domain.reconciliation.records import MalformedError
from app.domain.reconciliation.result import DifferenceKind, ReconciliationResult
from app.engines.comparing.question import Question
from app.engines.comparing.sending import sent
from app.engines.comparing.sources import Frame, Source, source
from app.engines.comparing.workers import OUTCOMES, ROW, occurrence, outcome_of

PARTITION_BYTES = 32 << 20  # of both sides' text; Spark joins partitions that turn out small
_MOST_PARTITIONS = 20_000

Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """`lines` has a binary column: the table's lines without their breaks, in no particular order."""

    result: ReconciliationResult
    header: bytes
    lines: Frame
    release: Callable[[], None]


def compare(spark: Any, question: Question, *, progress: Progress = lambda _: None) -> Compared:
    """Raises: InvalidError for a mapping that does not fit, MalformedError for a side that is no CSV table."""
    check_mapping(question.mapping)
    _partition(spark, question)
    left, right = source(spark, question.left), source(spark, question.right)
    rows = _rows(left, question, "left").union(_rows(right, question, "right"))
    progress(0.05)
    comparison = _Comparison(question, (left, right), _distinct(rows))
    try:
        result = comparison.result(progress)
    except BaseException:
        comparison.release()
        raise
    return Compared(
        result=result,
        header=DifferenceLines(mapping=question.mapping).header,
        lines=comparison.lines(),
        release=comparison.release,
    )


def _partition(spark: Any, question: Question) -> None:
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    size_bytes = question.left.size_bytes + question.right.size_bytes
    wanted = min(size_bytes // PARTITION_BYTES, _MOST_PARTITIONS)
    if wanted > int(spark.conf.get("spark.sql.shuffle.partitions")):
        spark.conf.set("spark.sql.shuffle.partitions", str(wanted))


def _rows(side: Source, question: Question, path_side: str) -> Frame:
    names = [pair.left if path_side == "left" else pair.right for pair in question.mapping]
    places = find_columns(names, side.labels, side=side.output.name, path_side=path_side)
    making = (_written(question), places, len(side.labels), side.output.delimiter, side.header)
    # What is not deterministic is not moved, and so is done once for each record.
    make = f.udf(sent("made", making), ROW, useArrow=False).asNondeterministic()
    rows = side.records.select(f.lit(path_side == "left").alias("on_left"), "id", make("record").alias("row"))
    return rows.select("on_left", "id", "row.*")


def _distinct(rows: Frame) -> Frame:
    """Equal rows counted, with the first of each side; what could not be read is one row without cells."""

    def counted(condition: Any) -> Any:
        return f.sum(f.when(condition & f.col("canonical").isNotNull(), 1).otherwise(0))

    def first(condition: Any) -> Any:
        return f.min(f.when(condition & f.col("canonical").isNotNull(), f.struct("id", "written")))

    here, there = f.col("on_left"), ~f.col("on_left")
    problem = f.when(f.col("problem").isNotNull(), f.struct(there.alias("on_right"), "id", "line", "problem"))
    return rows.groupBy("where", "canonical").agg(
        counted(here).alias("left_rows"),
        counted(there).alias("right_rows"),
        first(here).alias("left_first"),
        first(there).alias("right_first"),
        f.min(problem).alias("problem"),
    )


class _Comparison:
    def __init__(self, question: Question, sides: tuple[Source, Source], distinct: Frame) -> None:
        self._question = question
        self._sides = sides
        self._keyed = any(pair.key for pair in question.mapping)
        options = question.options
        self._tolerant = bool(options.absolute_tolerance or options.relative_tolerance)
        self._kept: list[Frame] = []
        self._distinct = self._keep(distinct)
        rows = self._distinct.where("canonical is not null")
        rest = f.struct("canonical", "left_rows", "right_rows", "left_first", "right_first")
        differ = f.col("left_rows") != f.col("right_rows")
        none = f.lit(0)
        if self._keyed:
            groups = rows.groupBy("where").agg(
                f.sum("left_rows").alias("left_count"),
                f.sum("right_rows").alias("right_count"),
                f.collect_list(f.when(differ, rest)).alias("rest"),
            )
            self._keys = self._keep(groups)
            groups = self._keys.where(f.size("rest") > 0)
        elif self._tolerant:
            groups = rows.where(differ).groupBy("where").agg(f.collect_list(rest).alias("rest"))
            groups = groups.select("rest", none.alias("left_count"), none.alias("right_count"))
        else:
            alone = f.array(rest).alias("rest")
            groups = rows.where(differ).select(alone, none.alias("left_count"), none.alias("right_count"))
        settling = f.udf(sent("settled", _written(question)), OUTCOMES, useArrow=False).asNondeterministic()
        outcomes = groups.select(f.explode(settling("rest", "left_count", "right_count")).alias("outcome"))
        self._outcomes = self._keep(outcomes.select("outcome.*"))

    def release(self) -> None:
        for frame in self._kept:
            frame.unpersist()

    def lines(self) -> Frame:
        write = f.udf(sent("line_of", _written(self._question)), t.BinaryType(), useArrow=False)
        differing = self._outcomes.where(f.col("kind") != DifferenceKind.COMMON.value)
        return differing.select(write(f.struct("*")).alias("line"))

    def result(self, progress: Progress) -> ReconciliationResult:
        """Raises: MalformedError for the first record that cannot be read."""
        left_rows, right_rows, common, problem = self._distinct.agg(
            f.sum("left_rows"), f.sum("right_rows"), f.sum(f.least("left_rows", "right_rows")), f.min("problem")
        ).collect()[0]
        if problem is not None:
            side = self._sides[problem.on_right]
            raise MalformedError(side.output.name, side.line_of(problem.id) + problem.line - 1, problem.problem)
        progress(0.6)
        counts = dict.fromkeys(DifferenceKind, 0)
        for kind, rows in self._outcomes.groupBy("kind").agg(f.sum("rows")).collect():
            counts[DifferenceKind(kind)] = rows
        differing = [kind for kind in DifferenceKind if counts[kind] and kind is not DifferenceKind.COMMON]
        counts[DifferenceKind.COMMON] += common or 0
        progress(0.8)
        totals = Totals(
            left_rows=left_rows or 0,
            right_rows=right_rows or 0,
            counts=counts,
            columns=dict(self._changes()) if DifferenceKind.CHANGED in differing else {},
            repeated=list(self._repeated()) if self._keyed else (),
        )
        samples = [*self._common()]
        for kind in differing:
            samples += self._lowest(kind, "sort")
        return merged_result(
            totals,
            samples,
            mapping=self._question.mapping,
            options=self._question.options,
            sample_limit=self._question.sample_limit,
        )

    def _changes(self) -> Iterator[tuple[int, tuple[int, float | None]]]:
        """By place how many rows have changed there, and the greatest distance."""
        changes = self._outcomes.select("rows", f.explode(f.arrays_zip("places", "apart")).alias("change"))
        for place, rows, apart in changes.groupBy("change.places").agg(f.sum("rows"), f.max("change.apart")).collect():
            yield place, (rows, apart)

    def _repeated(self) -> Iterator[Duplicates]:
        counts = ("left_count", "right_count")
        several = [f.when(f.col(count) > 1, f.col(count)) for count in counts]
        found = self._keys.agg(*(add(rows) for rows in several for add in (f.count, f.sum, f.max))).collect()[0]
        order = f.udf(sent("key_order"), t.BinaryType(), useArrow=False)
        for side, count, told in zip(self._sides, counts, (found[:3], found[3:]), strict=True):
            duplicates = Duplicates(side.output.name)
            keys, rows, most = told
            if keys:
                lowest = f.min_by("where", order("where"))
                equals, example = self._keys.where(f.col(count) == most).agg(f.count("where"), lowest).collect()[0]
                duplicates.merge(keys=keys, rows=rows, most=most, examples=[bytes(example)], equals=equals)
            yield duplicates

    def _lowest(self, kind: DifferenceKind, *order: str) -> Iterator[Outcome]:
        rows = self._outcomes.where(f.col("kind") == kind.value).orderBy(*order)
        return map(outcome_of, rows.limit(self._question.sample_limit).collect())

    def _common(self) -> Iterator[Outcome]:
        if self._tolerant:
            yield from self._lowest(DifferenceKind.COMMON, "left_id", "right_id")
        equal = self._distinct.where("left_rows > 0 and right_rows > 0").orderBy("left_first.id", "right_first.id")
        rows = equal.limit(self._question.sample_limit).collect()
        counts = self._counts({bytes(row["where"]) for row in rows}) if self._keyed else {}
        for row in rows:
            here = row.left_rows, row.right_rows
            left_count, right_count = counts[bytes(row["where"])] if self._keyed else here
            yield Outcome(
                kind=DifferenceKind.COMMON,
                rows=min(here),
                left=occurrence(row.left_first, bytes(row.canonical)),
                right=occurrence(row.right_first, bytes(row.canonical)),
                left_count=left_count,
                right_count=right_count,
            )

    def _counts(self, keys: Iterable[bytes]) -> dict[bytes, tuple[int, int]]:
        wanted = self._keys.where(f.col("where").isin([f.lit(key) for key in keys]))
        found = wanted.select("where", "left_count", "right_count").collect()
        return {bytes(where): (left, right) for where, left, right in found}

    def _keep(self, frame: Frame) -> Frame:
        """On the disks of the workers, for it is used more than once."""
        self._kept.append(frame.persist(StorageLevel.DISK_ONLY))
        return self._kept[-1]


def _written(question: Question) -> str:
    return json.dumps(question.to_document())

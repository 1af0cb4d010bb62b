"""The records of an output as Spark's rows, in parallel and in their order.

CSV is read as lines, of which each worker has some. Where a line ends inside a quoted cell, records have several lines:
each line only changes whether such a cell is open, and what a block of the file does so follows from its lines alone,
so that the state at each block's start is known without reading the file in one place.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Window
from pyspark.sql import functions as f
from pyspark.sql import types as t

from app.domain.reconciliation.records import LONGEST_RECORD_BYTES, MalformedError, Side
from app.engines.comparing.question import ComparedOutput
from app.engines.comparing.records import STAYS, block_states, header_of, read_header
from app.engines.comparing.sending import sent

_FIRST_LINES = 16  # that a header is looked for in
_MOST_LINES = 1 << 20

Frame = Any  # pyspark has one class of frames for drivers, and one for thin clients


@dataclass(frozen=True, kw_only=True)
class Source:
    """`records` has `id`, which ascends as the records do, and `record`: bytes, or a list of cells."""

    output: ComparedOutput
    labels: tuple[str | None, ...]
    records: Frame
    header: bytes | None  # as it stands in the file; None where records are cells
    line_of: Callable[[int], int]  # the line from 1 on where the record of an id begins


def source(spark: Any, output: ComparedOutput) -> Source:
    """Raises: MalformedError."""
    return _csv(spark, output) if output.labels is None else _parquet(spark, output, output.labels)


def _csv(spark: Any, output: ComparedOutput) -> Source:
    lines = (
        spark.read.option("lineSep", "\n")
        .text(output.uri)
        .select(
            f.monotonically_increasing_id().alias("id"),
            f.expr("input_file_block_start()").alias("block"),
            f.col("value").contains('"').alias("quoted"),
            f.col("value").cast("binary").alias("record"),  # as they are: broken UTF-8 is told, not mended
        )
    )
    header = _header(lines, output)
    height = header.count(b"\n")
    lines = lines.where(f.col("id") >= height)

    def line_of(id_: int) -> int:
        return int(lines.where(f.col("id") < id_).count()) + height + 1

    text = io.BytesIO(header)
    labels = read_header(Side(open=lambda: text, size_bytes=len(header), delimiter=output.delimiter, name=output.name))
    return Source(
        output=output,
        labels=labels,
        records=_records(spark, lines, output, line_of),
        header=header.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n"),
        line_of=line_of,
    )


def _header(lines: Frame, output: ComparedOutput) -> bytes:
    """The first record with its line breaks; of an empty file nothing, and of a record without an end the beginning."""
    wanted = _FIRST_LINES
    while True:
        rows = sorted(lines.where(f.col("id") < wanted).select("id", "record").collect())
        found = [bytes(row[1]) for row in rows]
        height = header_of(found, output.delimiter)
        if height or len(found) < wanted or wanted > _MOST_LINES:
            return b"".join(line + b"\n" for line in found[: height or None])
        wanted *= 16


def _records(spark: Any, lines: Frame, output: ComparedOutput, line_of: Callable[[int], int]) -> Frame:
    """A line each, unless one of them leaves a cell open."""
    changes = f.udf(sent("change", output.delimiter), t.IntegerType(), useArrow=False)
    opening = lines.where("quoted").select(changes("record").alias("change")).where("change % 2 = 1")
    if not opening.limit(1).collect():
        return lines.select("id", "record")
    changed = lines.withColumn("change", f.when(f.col("quoted"), changes("record")).otherwise(f.lit(STAYS)))
    placed = _placed(spark, changed)
    several = placed.where("open_before or open_after")
    sizes = several.groupBy("first").agg(f.sum(f.length("record") + 1).alias("size"))
    for row in sizes.where(f.col("size") > LONGEST_RECORD_BYTES).orderBy("first").limit(1).collect():
        problem = "a quoted cell is longer than 16 MiB: is its closing quote missing?"
        raise MalformedError(output.name, line_of(row[0]), problem)
    joined = f.udf(sent("joined"), t.BinaryType(), useArrow=False)
    pieces = f.sort_array(f.collect_list(f.struct("id", "record"))).alias("pieces")
    whole = several.groupBy(f.col("first").alias("id")).agg(pieces)
    alone = placed.where("not open_before and not open_after").select("id", "record")
    return alone.union(whole.select("id", joined("pieces").alias("record")))


def _placed(spark: Any, lines: Frame) -> Frame:
    """Lines with the id of their record's first one, and whether a cell is open before and after each.

    A change of 0 closes and one of 3 opens, whatever was before; 1 turns around, and 2 leaves as it is.
    """
    in_block = Window.partitionBy("block").orderBy("id")
    before = in_block.rowsBetween(Window.unboundedPreceding, -1)
    turns = f.sum(f.when(f.col("change") == 1, 1).otherwise(0))
    setting = f.col("change").isin(0, 3)
    counted = lines.withColumn("turns", turns.over(in_block))
    set_to = f.when(setting, f.struct((f.col("change") == 3).alias("open"), f.col("turns").alias("turns")))  # noqa: PLR2004 - as above
    looked = counted.select(
        "*",
        f.last(set_to, ignorenulls=True).over(before).alias("was_set"),
        f.coalesce(f.max("turns").over(before), f.lit(0)).alias("turned"),
    )
    odd = f.pmod(f.col("turned") - f.coalesce(f.col("was_set.turns"), f.lit(0)), f.lit(2)) == 1

    def open_before(open_at_start: Any) -> Any:
        return f.coalesce(f.col("was_set.open"), open_at_start) != odd

    def last_begun(*, open_at_start: bool) -> Any:
        return f.max(f.when(~open_before(f.lit(open_at_start)), f.col("id")))

    blocks = looked.groupBy("block").agg(
        f.max("turns").alias("turns"),
        f.max_by(set_to, f.when(setting, f.col("id"))).alias("was_set"),
        f.array(last_begun(open_at_start=False), last_begun(open_at_start=True)).alias("last_begun"),
    )
    states = block_states(blocks.collect())
    known = looked.join(
        f.broadcast(spark.createDataFrame(states, "block long, open_at_start boolean, brought long")), "block"
    ).withColumn("open_before", open_before(f.col("open_at_start")))
    after = "CASE change WHEN 0 THEN false WHEN 3 THEN true WHEN 1 THEN NOT open_before ELSE open_before END"
    begins = f.when(~f.col("open_before"), f.col("id"))
    first = f.coalesce(f.last(begins, ignorenulls=True).over(in_block), f.col("brought")).alias("first")
    return known.select("id", "record", "open_before", f.expr(after).alias("open_after"), first)


def _parquet(spark: Any, output: ComparedOutput, labels: tuple[str, ...]) -> Source:
    """Cells have the text that they have where a Parquet output is shown or converted."""
    frame = spark.read.parquet(output.uri)
    kinds = [field.dataType for field in frame.schema.fields]
    named = frame.toDF(*[f"c{place}" for place in range(len(kinds))])
    cells = [_text(f.col(f"c{place}"), kind) for place, kind in enumerate(kinds)]
    records = named.select(f.monotonically_increasing_id().alias("id"), f.array(*cells).alias("record"))
    return Source(output=output, labels=labels, records=records, header=None, line_of=lambda id_: id_ + 1)


def _text(column: Any, kind: t.DataType) -> Any:
    if isinstance(kind, t.BinaryType):
        return f.regexp_replace(f.base64(column), "\r?\n", "")
    if isinstance(kind, t.TimestampType | t.TimestampNTZType):
        written = f.date_format(column, "yyyy-MM-dd HH:mm:ss")
        fraction = f.date_format(column, ".SSSSSS")
        zone = "+00:00" if isinstance(kind, t.TimestampType) else ""
        return f.concat(written, f.when(fraction == ".000000", f.lit("")).otherwise(fraction), f.lit(zone))
    if isinstance(kind, t.ArrayType | t.MapType | t.StructType):
        return f.to_json(column)
    return column.cast("string")

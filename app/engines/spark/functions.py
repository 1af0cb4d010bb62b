"""Brings a task's own functions into its session: their JARs by Spark Connect, their names by Spark's own means."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

from pyspark.sql.connect.proto import base_pb2 as messages
from pyspark.sql.connect.proto import commands_pb2 as commands
from pyspark.sql.connect.proto import expressions_pb2 as expressions
from pyspark.sql.connect.proto import types_pb2 as types

from app.engines.base import TerminalEngineError, UdfKind, WorkUdf
from app.engines.spark.address import SparkAddress

_CHUNK_BYTES = 32 * 1024  # as Spark's own clients have it


def upload(udfs: Sequence[WorkUdf], session: str, address: SparkAddress) -> Iterator[messages.AddArtifactsRequest]:
    """The messages that carry the functions' JARs into the session, each JAR once."""
    user = messages.UserContext(user_id=address.user, user_name=address.user)
    for path, name in {udf.jar: f"jars/{udf.sha256}.jar" for udf in udfs}.items():
        for request in _parts(path, name):
            request.session_id = session
            request.user_context.CopyFrom(user)
            yield request


def registration(udf: WorkUdf) -> messages.Plan:
    """The plan that gives the function its name in the session.

    Raises: TerminalEngineError.
    """
    match udf.kind:
        case UdfKind.HIVE:
            return query_plan(hive_registration(udf))
        case UdfKind.SPARK:
            return messages.Plan(command=commands.Command(register_function=_java_function(udf)))


def query_plan(text: str) -> messages.Plan:
    """A statement, whatever it is: Spark runs a command when it is planned."""
    plan = messages.Plan()
    plan.root.sql.query = text
    return plan


def hive_registration(udf: WorkUdf) -> str:
    """The JAR is in the session's class path already, so that the server needs no way to where it came from."""
    name, class_name = (text.replace("`", "``") for text in (udf.function_name, udf.class_name))
    literal = class_name.replace("\\", "\\\\").replace("'", "\\'")
    return f"CREATE OR REPLACE TEMPORARY FUNCTION `{name}` AS '{literal}'"


def _java_function(udf: WorkUdf) -> expressions.CommonInlineUserDefinedFunction:
    return expressions.CommonInlineUserDefinedFunction(
        function_name=udf.function_name,
        deterministic=True,
        java_udf=expressions.JavaUDF(
            class_name=udf.class_name,
            output_type=None
            if udf.return_type is None
            else types.DataType(unparsed=types.DataType.Unparsed(data_type_string=udf.return_type)),
        ),
    )


def _parts(path: Path, name: str) -> Iterator[messages.AddArtifactsRequest]:
    request = messages.AddArtifactsRequest
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = request.ArtifactChunk(data=(data := file.read(_CHUNK_BYTES)), crc=crc32(data))
            if size <= _CHUNK_BYTES:
                single = request.SingleChunkArtifact(name=name, data=first)
                yield request(batch=request.Batch(artifacts=[single]))
                return
            count = -(-size // _CHUNK_BYTES)
            begin = request.BeginChunkedArtifact(name=name, total_bytes=size, num_chunks=count, initial_chunk=first)
            yield request(begin_chunk=begin)
            while data := file.read(_CHUNK_BYTES):
                yield request(chunk=request.ArtifactChunk(data=data, crc=crc32(data)))
    except FileNotFoundError as error:
        raise TerminalEngineError(f"The JAR of {name} is not there (any more); upload it again.", code="UDF") from error

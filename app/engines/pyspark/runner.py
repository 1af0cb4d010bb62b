"""A process that runs one PySpark script, on a Spark Connect server within itself, and leaves its outcome in a folder.

It warms up first and then reads the folder's path from standard input, so that it can be started before there is a
script. The server lives in this process: killing the process's group ends whatever the script had it do.
"""

import itertools
import json
import linecache
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlsplit

from app.engines.pyspark.result import ResultError, write_result
from app.engines.pyspark.tables import prepare_tables, save_tables
from app.engines.pyspark.written import written_rows

JOB = "job.json"
_SCRIPT = "script.py"
_OUTCOME = "outcome.json"
_LONGEST_MESSAGE = 2_000
_THIS_MACHINE = {"127.0.0.1", "localhost", "::1"}
# More telling than the class's own name; the first class of an error's ancestry that is listed counts.
_CODES = {"SyntaxError": "SYNTAX", "ParseException": "SYNTAX", "AnalysisException": "ANALYSIS", "ImportError": "IMPORT"}


class _ScriptFailedError(Exception):
    """The script is at fault; the message is for its author."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def main() -> None:
    lifeline = _take_lifeline()
    _watch(lifeline)
    elsewhere = "SPARK_REMOTE" in os.environ
    spark: Any = None
    problem = None
    try:
        if not elsewhere:
            server = _start_server()
            os.environ["SPARK_REMOTE"] = "sc://{}:{}".format(*server.listening_address)
        spark = _connect()
    except ImportError as error:
        problem = str(error)
    folder = Path(_read_line(lifeline))
    if problem is not None:
        outcome = {"error": {"code": "NOT_INSTALLED", "message": problem}}
    else:
        outcome = outcome_of(spark, folder, own_server=not elsewhere)
    leave(folder, outcome)


def leave(folder: Path, outcome: Mapping[str, Any]) -> NoReturn:
    """Write the outcome down and end the process."""
    (folder / _OUTCOME).write_text(json.dumps(outcome), encoding="utf-8")
    with suppress(OSError, ValueError):  # the script may have closed them
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)  # threads that the script left behind do not matter any more


def outcome_of(spark: Any, folder: Path, *, own_server: bool) -> dict[str, Any]:
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    work = folder / "work"
    work.mkdir()
    os.chdir(work)  # the server puts its tables here, too
    try:
        prepare_tables(spark, {name: Path(path) for name, path in job.get("tables", {}).items()})
        _furnish(spark, job)
        output_path = folder / "written" if _shares_files() else None
        result = _run_script(folder / _SCRIPT, output_path)
        if result is None and output_path is not None:
            result = written_rows(spark, output_path)
        columns, row_count = write_result(result, folder / "output.csv")
        tables = save_tables(spark, folder / "tables") if own_server else []  # a real Spark keeps its own
    except _ScriptFailedError as error:
        return {"error": {"code": error.code, "message": str(error)[:_LONGEST_MESSAGE]}}
    except ResultError as error:
        return {"error": {"code": "RESULT", "message": str(error)[:_LONGEST_MESSAGE]}}
    except Exception as error:  # noqa: BLE001 - the process's edge: what Spark says when it computes the result
        message = f"The result could not be computed: {type(error).__name__}: {error}"
        return {"error": {"code": _code(error), "message": message[:_LONGEST_MESSAGE]}}
    return {"columns": columns, "row_count": row_count, "tables": tables}


def _furnish(spark: Any, job: Mapping[str, Any]) -> None:
    """Give the script's session the functions of the task, by their names, and the connection's keys."""
    for key, value in job.get("conf", {}).items():
        spark.conf.set(key, value)
    if "SPARK_REMOTE" in os.environ:  # spark-submit has been given them
        for jar in job.get("jars", ()):
            spark.addArtifacts(jar)
    for function in job.get("functions", ()):
        if "sql" in function:
            spark.sql(function["sql"])
        else:
            spark.udf.registerJavaFunction(function["name"], function["class"], function["returns"])


def _shares_files() -> bool:
    """Whether Spark writes to files of this machine."""
    remote = os.environ.get("SPARK_REMOTE")
    return remote is None or urlsplit(remote).hostname in _THIS_MACHINE


def _run_script(path: Path, output_path: Path | None) -> object:
    """Run the script as the main module; what it assigned to `result`."""
    source = path.read_text(encoding="utf-8")
    # The module's name lets functions of the script travel into UDFs, and `if __name__ == "__main__"` run.
    module = ModuleType("__main__")
    module.__file__ = path.name
    from pyspark.sql import SparkSession  # noqa: PLC0415 - optional, and imported during the warm-up

    module.__dict__["spark"] = SparkSession.getActiveSession()
    if output_path is not None:
        module.__dict__["output_path"] = str(output_path)
    sys.modules["__main__"] = module
    sys.argv = [path.name]
    linecache.cache[path.name] = (len(source), None, source.splitlines(keepends=True), path.name)
    try:
        exec(compile(source, path.name, "exec"), module.__dict__)  # noqa: S102 - running the script is the task
    except SystemExit as error:
        if error.code not in {None, 0}:
            raise _ScriptFailedError(f"The script ended itself with {error.code!r}.", code="SCRIPT") from error
    except BaseException as error:  # the process's edge: anything that a script may raise
        _print_traceback(error, path.name)
        raise _ScriptFailedError(_message(error, path.name), code=_code(error)) from error
    return module.__dict__.get("result")


def _message(error: BaseException, script: str) -> str:
    """What went wrong, and in which line of the script."""
    if isinstance(error, SyntaxError) and error.filename == script:
        line, text = error.lineno or 0, error.msg
    else:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
        line, text = (lines[-1] or 0) if lines else 0, str(error)
    source = linecache.getline(script, line).strip()
    place = f"line {line}" + (f" ({source})" if source else "")
    return f"{type(error).__name__} in {place}: {text}" if line else f"{type(error).__name__}: {text}"


def _print_traceback(error: BaseException, script: str) -> None:
    """The traceback as from the script on, without frames of this runner and of the Spark client."""
    told = traceback.TracebackException.from_exception(error)
    own = str(Path(__file__).parent)
    frames = [
        frame
        for frame in itertools.dropwhile(lambda frame: frame.filename != script, told.stack)
        if "/pyspark/" not in frame.filename and not frame.filename.startswith(own)
    ]
    told.stack = traceback.StackSummary.from_list(frames)
    for line in told.format(chain=False):
        print(line, end="", file=sys.stderr)  # noqa: T201 - becomes log lines


def _code(error: BaseException) -> str:
    if "UNAVAILABLE" in str(getattr(error, "_grpc_status_code", "")):
        return "CONNECTION"
    return next(
        (_CODES[ancestor.__name__] for ancestor in type(error).__mro__ if ancestor.__name__ in _CODES), "SCRIPT"
    )


def _start_server() -> Any:
    """A Spark Connect server in threads of this process; it lives as long as the object."""
    from pysail.spark import SparkConnectServer  # noqa: PLC0415 - optional

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    return server


def _connect() -> Any:
    """The session that the script's own `getOrCreate()` will give as well."""
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    from pyspark.sql import SparkSession  # noqa: PLC0415 - optional

    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    # Scripts written for a cluster name a master at their start and stop the session at their end: neither is theirs
    # to decide here, and the result is computed after the end.
    builder: Any = SparkSession.Builder
    builder.master = lambda self, master: self  # noqa: ARG005
    session: Any = type(spark)
    session.stop = lambda self: None  # noqa: ARG005
    return spark


def _take_lifeline() -> int:
    """Standard input, kept aside: the script shall read nothing from it."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return lifeline


def _watch(lifeline: int) -> None:
    """Let a process of the same group kill the group once the parent has closed its end, by will or by dying.

    A thread could not: a script may hold the interpreter's lock for long. A signal of the kernel's at the parent's
    death would spare what the script has started.
    """
    if os.fork() == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        closed = select.poll()
        closed.register(lifeline, 0)  # only that the other end is closed: what comes through is not this process's
        closed.poll()
        os.killpg(0, signal.SIGKILL)


def _read_line(descriptor: int) -> str:
    """The first line; ends this process where there is none."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 1)
        if not piece:
            os._exit(0)  # the parent has no script (any more)
        line += piece
    return line.decode().strip()


if __name__ == "__main__":
    main()

"""Runs on the cluster by spark-submit: the statements of a Spark SQL task, or the script of a PySpark task.

    spark-submit spark_step.py s3://bucket/…/<attempt>/<try>

Spark itself reads the job and writes the output, so that it needs no client of S3: records of CSV by the platform's
rules under parts/, and under outcome/ a JSON text of columns or error, and of what the script printed.
"""

import itertools
import json
import linecache
import sys
import traceback
import types

from pyspark.sql import SparkSession, functions
from pyspark.sql import types as kinds

SCRIPT = "script.py"
MOST_LINES = 2000
LONGEST_MESSAGE = 2000
CODES = {"SyntaxError": "SYNTAX", "ParseException": "SYNTAX", "AnalysisException": "ANALYSIS", "ImportError": "IMPORT"}
CONDITIONS = {
    "TABLE_OR_VIEW_NOT_FOUND": "TABLE_NOT_FOUND",
    "UNRESOLVED_COLUMN": "COLUMN_NOT_FOUND",
    "UNRESOLVED_ROUTINE": "FUNCTION_NOT_FOUND",
}
FORMATS = {".parquet": "parquet", ".orc": "orc", ".json": "json", ".csv": "csv"}
NEEDS_QUOTES = '[",\\n\\r]|^$|^ | $'


class Recorder:
    """A stream that keeps its first lines while it passes everything on."""

    def __init__(self, stream, name, lines):
        self.stream = stream
        self.name = name
        self.lines = lines
        self.rest = ""

    def write(self, text):
        *ended, self.rest = (self.rest + text).split("\n")
        for line in ended:
            self.keep(line)
        return self.stream.write(text)

    def keep(self, line):
        if len(self.lines) < MOST_LINES:
            self.lines.append([self.name, line[:LONGEST_MESSAGE]])

    def end(self):
        if self.rest:
            self.keep(self.rest)

    def __getattr__(self, name):
        return getattr(self.stream, name)


class ScriptFailed(Exception):
    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def main(folder):
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.variable.substitute", "false")  # ${x} in a text is the text's own
    log = []
    sys.stdout, sys.stderr = Recorder(sys.stdout, "stdout", log), Recorder(sys.stderr, "stderr", log)
    outcome = {"format": "csv", "columns": []}
    try:
        job = json.loads(read(spark, folder.rpartition("/")[0] + "/job.json"))
        register(spark, job["functions"])
        if "script" in job:
            result = run_script(spark, job["script"], folder + "/written")
        else:
            result = run_statements(spark, job["statements"])
        if result is not None:
            outcome["columns"] = write(result, folder + "/parts")
    except ScriptFailed as error:
        outcome["error"] = {"code": error.code, "message": str(error)[:LONGEST_MESSAGE]}
    except Exception as error:
        traceback.print_exc()
        outcome["error"] = {"code": code_of(error), "message": text_of(error)[:LONGEST_MESSAGE]}
    sys.stdout.end()
    sys.stderr.end()
    outcome["log"] = log
    spark.createDataFrame([(json.dumps(outcome),)], "value string").coalesce(1).write.mode("overwrite").text(
        folder + "/outcome"
    )
    return 1 if "error" in outcome else 0


def read(spark, uri):
    return spark.read.text(uri, wholetext=True).head()[0]


def register(spark, wanted):
    for function in wanted:
        if function["kind"] == "SPARK":  # its JAR was given to spark-submit
            spark.udf.registerJavaFunction(function["name"], function["class"], function["return_type"])
        else:
            spark.sql(
                "CREATE TEMPORARY FUNCTION {name} AS '{class}' USING JAR '{uri}'".format(**function)  # checked names
            )


def run_statements(spark, statements):
    """The rows of the last statement."""
    result = None
    for statement in statements:
        result = spark.sql(statement)
    return result


def run_script(spark, source, output_path):
    """Run the script as the main module; what it assigned to `result` or wrote to its path, as rows of Spark's."""
    module = types.ModuleType("__main__")
    module.__file__ = SCRIPT
    module.spark = spark
    module.output_path = output_path
    sys.modules["__main__"] = module
    sys.argv = [SCRIPT]
    linecache.cache[SCRIPT] = (len(source), None, source.splitlines(keepends=True), SCRIPT)
    # A script may end its session at its end; the rows are computed after that.
    type(spark).stop = lambda _session: None
    try:
        exec(compile(source, SCRIPT, "exec"), module.__dict__)
    except SystemExit as error:
        if error.code not in (None, 0):
            raise ScriptFailed(f"The script ended itself with {error.code!r}.", "SCRIPT") from error
    except BaseException as error:
        print_traceback(error)
        raise ScriptFailed(place_of(error), code_of(error, "SCRIPT")) from error
    result = module.__dict__.get("result")
    return written(spark, output_path) if result is None else as_frame(spark, result)


def written(spark, uri):
    """The rows of the files at the path, by their endings; none where nothing was written."""
    try:
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(uri).select("path").collect()
    except Exception as error:
        if "PATH_NOT_FOUND" in str(error) or "Path does not exist" in str(error):
            return None
        raise
    found = {ending for ending in FORMATS for file in files if ending in file[0].rpartition("/")[2]}
    if not files:
        return None
    if len(found) != 1:
        raise ScriptFailed("The files at `output_path` must be of one format: Parquet, ORC, JSON or CSV.", "RESULT")
    return spark.read.format(FORMATS[found.pop()]).option("header", "true").load(uri)


def as_frame(spark, result):
    if result is None or hasattr(result, "sparkSession"):
        return result
    if isinstance(result, (list, tuple)):
        rows = [row if isinstance(row, (dict, list, tuple)) else {"value": row} for row in result]
        return spark.createDataFrame(rows) if rows else None
    if hasattr(result, "to_dict") and hasattr(result, "columns"):
        return spark.createDataFrame(result)
    raise ScriptFailed(
        "`result` must be a Spark DataFrame, a pandas DataFrame or a list of rows (Row, dict or tuple); it is"
        f" {type(result).__name__}.",
        "RESULT",
    )


def write(result, uri):
    """Write the rows; the columns, or none where the statement has no result set."""
    fields = result.schema.fields
    if not fields:
        return []
    # Two columns may have the same label, so they are named by their places.
    named = result.toDF(*["c{}".format(place) for place in range(len(fields))])
    cells = [cell("c{}".format(place), field.dataType) for place, field in enumerate(fields)]
    named.select(functions.concat_ws(",", *cells).alias("value")).write.mode("overwrite").text(uri)
    return [{"name": field.name, "type": type_name(field.dataType)} for field in fields]


def cell(name, kind):
    """The text of a cell: nothing for NULL, quotes around what needs them."""
    text = functions.col(name).cast("string")
    if isinstance(kind, kinds.BinaryType):
        return functions.coalesce(
            functions.regexp_replace(functions.base64(functions.col(name)), "\r?\n", ""), functions.lit("")
        )
    if isinstance(kind, (kinds.ArrayType, kinds.MapType, kinds.StructType)):
        text = functions.to_json(functions.col(name))
    elif isinstance(kind, (kinds.NumericType, kinds.BooleanType, kinds.DateType, kinds.TimestampType, kinds.NullType)):
        return functions.coalesce(text, functions.lit(""))
    quoted = functions.concat(functions.lit('"'), functions.regexp_replace(text, '"', '""'), functions.lit('"'))
    return functions.when(text.isNull(), functions.lit("")).when(text.rlike(NEEDS_QUOTES), quoted).otherwise(text)


def type_name(kind):
    name = kind.simpleString()
    return name if "<" in name else name.upper()


def code_of(error, otherwise="EXECUTION"):
    told = getattr(error, "getCondition", None) or getattr(error, "getErrorClass", None)
    found = CONDITIONS.get(((told and told()) or "").partition(".")[0])
    if found:
        return found
    names = [ancestor.__name__ for ancestor in type(error).__mro__]
    return next((CODES[name] for name in names if name in CODES), otherwise)


def text_of(error):
    """The message without the JVM's stack."""
    return str(getattr(error, "desc", None) or error).partition("\n\nJVM stacktrace:")[0].strip()


def place_of(error):
    if isinstance(error, SyntaxError) and error.filename == SCRIPT:
        line, text = error.lineno or 0, error.msg
    else:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == SCRIPT]
        line, text = (lines[-1] if lines else 0), text_of(error)
    if not line:
        return "{}: {}".format(type(error).__name__, text)
    source = linecache.getline(SCRIPT, line).strip()
    return "{} in line {}{}: {}".format(type(error).__name__, line, " ({})".format(source) if source else "", text)


def print_traceback(error):
    """The traceback as from the script on."""
    told = traceback.TracebackException.from_exception(error)
    frames = itertools.dropwhile(lambda frame: frame.filename != SCRIPT, told.stack)
    told.stack = traceback.StackSummary.from_list(
        [frame for frame in frames if "/pyspark/" not in frame.filename and not frame.filename.endswith(__file__)]
    )
    for line in told.format(chain=False):
        print(line, end="", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

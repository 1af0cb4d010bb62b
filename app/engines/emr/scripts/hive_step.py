#!/usr/bin/env python3
r"""Runs on the cluster's master node by script-runner: the statements of a Hive task, by Hive's command line.

    hive_step.py s3://bucket/…/<attempt>/<try>

The rows of the last query go to parts/ as text that keeps everything apart: fields end with \\001, NULL is \\N, and
backslashes escape. Hive tells the columns with their types in its log alone. outcome/ has columns or error, and log.
"""

import collections
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading

LAST_LINES = 1000
LONGEST_LINE = 2000
MARK = "hivevar:data_phantom_rows"
SCHEMA = re.compile(r"(?:Returning|Created) Hive schema: Schema\(fieldSchemas:\[(.*)\], properties:null\)")
FIELD = re.compile(r"FieldSchema\(name:(.*?), type:(.*?), comment:[^()]*?\)(?:, |$)")
FAILED = re.compile(r"^(?:FAILED|Error): .*")
NUMBER = re.compile(r"\[Error (\d+)\]")
CODES = {
    "10001": "TABLE_NOT_FOUND",
    "10002": "COLUMN_NOT_FOUND",
    "10004": "COLUMN_NOT_FOUND",
    "10011": "FUNCTION_NOT_FOUND",
    "10072": "DATABASE_NOT_FOUND",
}
# Rows keep their labels without their tables' names; the text is the task's own, with no variables in it.
SETTINGS = [
    "SET hive.variable.substitute=false",
    "SET hive.resultset.use.unique.column.names=false",
    "SET hive.cli.print.header=true",
]
DESTINATION = (
    "INSERT OVERWRITE DIRECTORY '{}' ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe'"
    " WITH SERDEPROPERTIES ('field.delim'='\\001', 'serialization.format'='\\001', 'escape.delim'='\\\\',"
    " 'serialization.escape.crlf'='true', 'serialization.null.format'='\\\\N') STORED AS TEXTFILE"
)


def main(folder):
    job = json.loads(get(folder.rpartition("/")[0] + "/job.json").decode())
    with tempfile.NamedTemporaryFile("w", suffix=".hql", encoding="utf-8") as script:
        script.write("".join(statement + ";\n" for statement in statements(job, folder)))
        script.flush()
        hive = ["hive", "--hiveconf", "hive.root.logger=INFO,console", "-f", script.name]
        process = subprocess.Popen(hive, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: process.send_signal(received))
        told, schema = collections.deque(maxlen=LAST_LINES), []
        listening = threading.Thread(target=listen, args=(process.stderr, told, schema))
        listening.start()
        listed = listing(process.stdout, told)
        code = process.wait()
        listening.join()
    if code < 0 or code in (130, 143):
        return 1  # it was interrupted, and nothing is to be told
    outcome = {"format": "hive", "columns": [], "log": list(told)}
    if code:
        outcome["error"] = failure(code, [line for stream, line in told if stream == "stderr"])
    elif job["listing"]:
        outcome.update(listed_output(listed, folder))
    elif job["tail"]:
        fields = FIELD.findall(schema[-1] if schema else "")
        outcome["columns"] = [{"name": name, "type": kind} for name, kind in fields]
        if not outcome["columns"]:
            outcome["error"] = {"code": "RESULT", "message": "Hive did not tell the columns of the result."}
    put(json.dumps(outcome).encode(), folder + "/outcome/outcome.json")
    return 1 if "error" in outcome else 0


def statements(job, folder):
    yield from SETTINGS
    for function in job["functions"]:
        yield "CREATE TEMPORARY FUNCTION {name} AS '{class}' USING JAR '{uri}'".format(**function)
    yield from job["statements"]
    if job["listing"]:
        yield "SET {}=1".format(MARK)
        yield "SET " + MARK
        yield job["listing"]
    elif job["tail"]:
        yield " ".join([job["head"], DESTINATION.format(folder.replace("'", "\\'") + "/parts"), job["tail"]])
    else:
        yield job["head"]


def listen(stream, told, schema):
    """Keep the last lines, and what the log says of columns."""
    for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip("\n")
        found = SCHEMA.search(line)
        if found:
            schema[:] = [found.group(1)]
        told.append(["stderr", line[:LONGEST_LINE]])
        print(line, file=sys.stderr, flush=True)


def listing(stream, told):
    """What Hive prints after the mark: the rows of SHOW and its like."""
    lines = None
    for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip("\n")
        print(line, flush=True)
        if line.startswith(MARK + "="):
            lines = []
        elif lines is not None:
            lines.append(line)
        else:
            told.append(["stdout", line[:LONGEST_LINE]])
    return lines or []


def listed_output(lines, folder):
    labels = lines[0].split("\t") if lines else []
    rows = [line.split("\t") for line in lines[1:]]
    rows = [row[: len(labels)] + [""] * (len(labels) - len(row)) for row in rows]
    text = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    put(text.encode(), folder + "/parts/00000.csv")
    return {"format": "csv", "columns": [{"name": label, "type": "STRING"} for label in labels]}


def failure(code, lines):
    message = next((line for line in reversed(lines) if FAILED.match(line)), "")
    number = NUMBER.search(message)
    if "ParseException" in message:
        word = "SYNTAX"
    elif number:
        word = CODES.get(number.group(1), "ANALYSIS")
    else:
        word = "EXECUTION"
    # Without a word of its own Hive was killed, or never started.
    return {"code": word, "message": message or "Hive ended with code {}.".format(code), "transient": not message}


def get(uri):
    return subprocess.run(["aws", "s3", "cp", "--quiet", uri, "-"], stdout=subprocess.PIPE, check=True).stdout


def put(data, uri):
    subprocess.run(["aws", "s3", "cp", "--quiet", "-", uri], input=data, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

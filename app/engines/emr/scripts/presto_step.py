#!/usr/bin/env python3
"""Runs on the cluster's master node by script-runner: the statements of a Presto task, on the Presto or Trino there.

    presto_step.py s3://bucket/…/<attempt>/<try>

It speaks the REST protocol that both have: their command-line clients tell neither the columns' types, nor the labels
of no rows. The output is records of CSV by the platform's rules under parts/; outcome/ has columns or error, and log.
"""

import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress

PART_BYTES = 16 * 1024 * 1024
RETRY_SECONDS = 60
CODES = {"SYNTAX_ERROR": "SYNTAX", "PERMISSION_DENIED": "PERMISSION", "EXCEEDED_TIME_LIMIT": "TIMEOUT"}
# What these types tell the next statement of the same session, by the header of the answer.
KEPT = {"Set-Catalog": "Catalog", "Set-Schema": "Schema"}


class QueryFailed(Exception):
    def __init__(self, code, message, transient=False):
        super().__init__(message)
        self.code = code
        self.transient = transient


class Stop:
    """Whether this process was told to stop, and whether it may heed that just now."""

    asked = False
    deaf = False


class Presto:
    def __init__(self, server, catalog, schema):
        self.server = server.rstrip("/")
        self.session = {"User": "data-phantom", "Source": "data-phantom", "Catalog": catalog, "Schema": schema}
        self.settings = {}
        self.prepared = {}
        self.family = "Presto"
        self.family = self.told_family()
        self.next = None  # where the statement that runs goes on, and is cancelled

    def run(self, statement):
        """The answers of the server, one after the other."""
        Stop.deaf = True  # until it is known where the statement can be cancelled
        answer = self.ask("POST", self.server + "/v1/statement", statement.encode())
        self.next = answer.get("nextUri")
        Stop.deaf = False
        if Stop.asked:
            raise KeyboardInterrupt
        while True:
            self.next = answer.get("nextUri")
            if answer.get("error"):
                raise failure(answer["error"])
            yield answer
            if not self.next:
                return
            answer = self.ask("GET", self.next)

    def cancel(self):
        if self.next:
            with suppress(OSError, http.client.HTTPException):
                self.open("DELETE", self.next, None)

    def ask(self, method, uri, body=None):
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                with self.open(method, uri, body) as response:
                    self.keep(response.headers)
                    return json.loads(response.read().decode())
            except urllib.error.HTTPError as error:
                reason, again = "{} {}".format(error.code, error.reason), error.code in (429, 502, 503, 504)
                if not again:
                    raise QueryFailed("CONNECTION", "Presto answered {}.".format(reason)) from error
            except (OSError, http.client.HTTPException) as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise QueryFailed("CONNECTION", "Presto does not answer: {}".format(reason), transient=True)
            time.sleep(1)

    def told_family(self):
        """Which of the two it is: Presto's releases all begin with a zero."""
        version = (self.ask("GET", self.server + "/v1/info").get("nodeVersion") or {}).get("version", "0.")
        return "Presto" if version.startswith("0.") else "Trino"

    def open(self, method, uri, body):
        session = dict(self.session)
        for name, values in (("Session", self.settings), ("Prepared-Statement", self.prepared)):
            if values:
                session[name] = ",".join("{}={}".format(*pair) for pair in values.items())
        headers = {f"X-{self.family}-{name}": value for name, value in session.items()}
        return urllib.request.urlopen(urllib.request.Request(uri, body, headers, method=method), timeout=120)

    def keep(self, headers):
        """Take over what the answer says of the session."""
        prefix = f"X-{self.family}-"
        for header, kept in KEPT.items():
            if headers.get(prefix + header):
                self.session[kept] = headers[prefix + header]
        for added, removed, kept in (
            ("Set-Session", "Clear-Session", self.settings),
            ("Added-Prepare", "Deallocated-Prepare", self.prepared),
        ):
            for pair in headers.get_all(prefix + added) or []:
                key, _, value = pair.partition("=")
                kept[key] = value
            for key in headers.get_all(prefix + removed) or []:
                kept.pop(key, None)


class Parts:
    """Writes records to parts/ in the try's folder, some 16 MB at once."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.file = tempfile.NamedTemporaryFile()

    def write(self, rows):
        self.file.write("".join([",".join([cell(value) for value in row]) + "\n" for row in rows]).encode())
        if self.file.tell() > PART_BYTES:
            self.flush()

    def flush(self):
        self.file.flush()
        if self.file.tell():
            copy(self.file.name, "{}/parts/{:05d}.csv".format(self.folder, self.count))
            self.count += 1
            self.file.seek(0)
            self.file.truncate()


def main(folder):
    log = []
    outcome = {"format": "csv", "columns": [], "log": log}
    presto = None
    try:
        job = json.loads(get(folder.rpartition("/")[0] + "/job.json").decode())
        presto = Presto(job["server"], job["catalog"], job["schema"])
        *before, last = job["statements"]
        for statement in before:
            for answer in presto.run(statement):
                say(log, answer)
        parts = Parts(folder)
        for answer in presto.run(last):
            say(log, answer)
            # What changes something tells a count, and has no result set.
            if answer.get("columns") and not answer.get("updateType"):
                outcome["columns"] = [
                    {"name": column["name"], "type": type_name(column["type"])} for column in answer["columns"]
                ]
                parts.write(answer.get("data") or [])
        parts.flush()
    except QueryFailed as error:
        outcome["error"] = {"code": error.code, "message": str(error), "transient": error.transient}
        log.append(["stderr", str(error)])
    except KeyboardInterrupt:
        presto and presto.cancel()
        return 130
    put(json.dumps(outcome).encode(), folder + "/outcome/outcome.json")
    return 1 if "error" in outcome else 0


def say(log, answer):
    """One line for each state that the query goes through."""
    stats = answer.get("stats") or {}
    line = "{} {}".format(answer.get("id", ""), stats.get("state", ""))
    if not log or log[-1][1].partition(":")[0] != line:
        splits = "{}/{} splits".format(stats.get("completedSplits", 0), stats.get("totalSplits", 0))
        log.append(["engine", "{}: {}".format(line, splits)])
        print(line, splits, flush=True)


def failure(error):
    name, kind = error.get("errorName", ""), error.get("errorType", "")
    code = CODES.get(name) or ("NOT_FOUND" if name.endswith("_NOT_FOUND") or name == "MISSING_TABLE" else name)
    transient = kind in {"INSUFFICIENT_RESOURCES", "INTERNAL_ERROR"}
    return QueryFailed(code or "ENGINE_ERROR", error.get("message") or name, transient)


def cell(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = value if isinstance(value, str) else repr(value)
    if text and not any(special in text for special in '",\n\r') and text[0] != " " and text[-1] != " ":
        return text
    return '"' + text.replace('"', '""') + '"'


def type_name(name):
    return name if "row(" in name else name.upper()


def get(uri):
    return subprocess.run(["aws", "s3", "cp", "--quiet", uri, "-"], stdout=subprocess.PIPE, check=True).stdout


def put(data, uri):
    subprocess.run(["aws", "s3", "cp", "--quiet", "-", uri], input=data, check=True)


def copy(path, uri):
    subprocess.run(["aws", "s3", "cp", "--quiet", path, uri], check=True)


def stop(_number, _frame):
    Stop.asked = True
    if not Stop.deaf:
        raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.exit(main(sys.argv[1]))

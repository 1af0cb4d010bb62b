"""Runs on the cluster by spark-submit: the comparison of two outputs, by the package that was sent along.

    spark-submit --py-files comparison.zip reconcile_step.py s3://bucket/…/<run>/1/<try>

Spark itself reads the job and the outputs, and writes lines of differences under parts/, and under outcome/ a JSON text
of the result and the lines' header, or of the error.
"""

import json
import sys
import traceback

from pyspark.sql import SparkSession

LONGEST_MESSAGE = 2000
WANTED = (3, 11)


class Refused(Exception):
    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def main(folder):
    spark = SparkSession.builder.getOrCreate()
    outcome = {"log": []}
    try:
        outcome.update(compared(spark, folder))
    except Refused as error:
        outcome["error"] = {"code": error.code, "message": str(error)}
    except Exception as error:
        traceback.print_exc()
        message = str(getattr(error, "desc", None) or error).partition("\n\nJVM stacktrace:")[0].strip()
        outcome["error"] = {"code": "EXECUTION", "message": message[:LONGEST_MESSAGE]}
    spark.createDataFrame([(json.dumps(outcome),)], "value string").coalesce(1).write.mode("overwrite").text(
        folder + "/outcome"
    )
    return 1 if "error" in outcome else 0


def compared(spark, folder):
    if sys.version_info < WANTED:
        message = (
            "Comparisons need Python {}.{} on the cluster, and its Spark runs {}.{}: install it on all nodes, and name"
            " it in connector.aws_emr.python."
        )
        raise Refused(message.format(*WANTED + sys.version_info[:2]), "PYTHON")
    from app.domain.errors import DomainError
    from app.engines.comparing.job import compare
    from app.engines.comparing.question import Question

    job = json.loads(spark.read.text(folder.rpartition("/")[0] + "/job.json", wholetext=True).head()[0])
    try:
        found = compare(spark, Question.from_document(job["question"]))
    except DomainError as error:
        raise Refused(error.message, str(error.code)) from error
    found.lines.selectExpr("CAST(line AS string) AS value").write.mode("overwrite").text(folder + "/parts")
    found.release()
    return {"result": found.result.to_document(), "header": found.header.decode()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Java of the tests' own: small sources become a JAR, compiled against Spark's classes."""

import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.spark import spark_home


def build_jar(sources: Mapping[str, str], folder: Path, *, name: str = "functions.jar") -> Path:
    """Compile sources, by the full names of their classes, into a JAR in the folder.

    Raises: AssertionError with the compiler's words.
    """
    classes = folder / f"{name}-classes"
    classes.mkdir(parents=True)
    files = [_write(classes, class_name, source) for class_name, source in sources.items()]
    # 17 is the oldest that Spark 4 runs on; a JAR of a newer one would not load there.
    command = ["javac", "--release", "17", "-nowarn", "-proc:none", "-cp", f"{spark_home()}/jars/*", "-d", classes]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"javac refused {', '.join(sources)}:\n{done.stderr}")
    jar = folder / name
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n")
        for file in sorted(classes.rglob("*.class")):
            archive.write(file, file.relative_to(classes))
    return jar


def _write(folder: Path, class_name: str, source: str) -> Path:
    path = folder.joinpath(*class_name.split(".")).with_suffix(".java")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return path


HIVE_FUNCTION = "org.example.hive.Shout"
SPARK_FUNCTION = "org.example.spark.PlusOne"

_SOURCES = {
    HIVE_FUNCTION: """
package org.example.hive;

public class Shout extends org.apache.hadoop.hive.ql.exec.UDF {
    public String evaluate(String text) { return text == null ? null : text.toUpperCase() + "!"; }
}
""",
    SPARK_FUNCTION: """
package org.example.spark;

public class PlusOne implements org.apache.spark.sql.api.java.UDF1<Long, Long> {
    public Long call(Long number) { return number == null ? null : number + 1; }
}
""",
}


def functions_jar(folder: Path) -> Path:
    """A JAR with one function of each kind: HIVE_FUNCTION shouts a text, SPARK_FUNCTION adds one to a BIGINT."""
    return build_jar(_SOURCES, folder)

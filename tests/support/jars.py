"""JARs made by hand: classes of a name and its parents, without a line of Java."""

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence

HIVE_UDF = "org.apache.hadoop.hive.ql.exec.UDF"
SPARK_UDF1 = "org.apache.spark.sql.api.java.UDF1"
PUBLIC, INTERFACE, ABSTRACT = 0x0021, 0x0200, 0x0400


def class_file(
    name: str, *, extends: str | None = "java.lang.Object", implements: Sequence[str] = (), flags: int = PUBLIC
) -> bytes:
    """A class without fields and methods; constants of every kind stand before its names, for a reader to pass."""
    pool: list[bytes] = [b"\x05" + bytes(8), b"", b"\x06" + bytes(8), b"", b"\x03" + bytes(4), b"\x0c" + bytes(4)]

    def constant(text: str) -> int:
        encoded = text.replace(".", "/").encode()
        pool.append(b"\x01" + struct.pack(">H", len(encoded)) + encoded)
        pool.append(b"\x07" + struct.pack(">H", len(pool)))
        return len(pool)

    this = constant(name)
    parent = 0 if extends is None else constant(extends)
    interfaces = [constant(each) for each in implements]
    head = struct.pack(">IHHH", 0xCAFEBABE, 0, 52, len(pool) + 1)
    tail = struct.pack(">HHHH", flags, this, parent, len(interfaces))
    numbers = b"".join(struct.pack(">H", index) for index in interfaces)
    return head + b"".join(pool) + tail + numbers + bytes(6)


def jar(entries: Mapping[str, bytes]) -> bytes:
    """An archive; the same entries always give the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n", **entries}.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 5, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def hive_jar(name: str = "com.example.Lower", *, extends: str = HIVE_UDF) -> bytes:
    return jar({path_of(name): class_file(name, extends=extends)})


def spark_jar(name: str = "com.example.Twice", *, arity: int = 1) -> bytes:
    interface = f"{SPARK_UDF1[:-1]}{arity}"
    return jar({path_of(name): class_file(name, implements=[interface])})


def path_of(name: str) -> str:
    return name.replace(".", "/") + ".class"

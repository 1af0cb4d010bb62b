"""What a JAR holds: whether it is one, whether it has a class, and whether that class is a function to Hive or Spark.

Nothing is unpacked but the classes that are looked at, each within a bound, so an archive that would grow without end
costs no more than any other.
"""

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import BinaryIO

from app.domain.class_files import ClassFile, ClassFileError, read_class
from app.domain.errors import InvalidError
from app.domain.udfs import UdfKind

MAX_ENTRIES = 65_535  # beyond it an archive needs another format, ZIP64
MAX_DIRECTORY_BYTES = 16 * 2**20
MAX_UNPACKED_BYTES = 2 * 2**30
MAX_CLASS_BYTES = 2 * 2**20
MAX_ANCESTORS = 100
MAX_NAMED = 5
MAX_COMPARED = 5_000  # names, for one that is spelt alike; each takes some microseconds

_END = struct.Struct("<4s4H2LH")  # the record at an archive's end: where its directory lies, and how large it is
_END_SIGNATURE = b"PK\5\6"
_LONGEST_COMMENT = 65_535
_CHUNK = 2**20
_ENCRYPTED = 1

_SPARK_FUNCTION = "org.apache.spark.sql.api.java.UDF"
_SPARK_ARITIES = {f"{_SPARK_FUNCTION}{arity}": arity for arity in range(23)}
_HIVE_PACKAGE = "org.apache.hadoop.hive.ql.udf."  # GenericUDF and its kin, and Hive's own functions
_HIVE_CLASSES = frozenset(f"org.apache.hadoop.hive.ql.exec.{name}" for name in ("UDF", "UDAF", "NumericUDAF"))
_JAVA = ("java.", "javax.", "scala.")


@dataclass(frozen=True, kw_only=True, slots=True)
class JarFacts:
    """What a JAR is, whatever it holds."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionClass:
    """What a class of a JAR is; `arity` is how many values a Spark function takes.

    `kind` is None where its ancestors lead out of the JAR, to the class `unknown`.
    """

    kind: UdfKind | None
    arity: int | None = None
    unknown: str | None = None


def jar_facts(file: BinaryIO) -> JarFacts:
    """Read to the end, a piece at a time."""
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while piece := file.read(_CHUNK):
        digest.update(piece)
        size += len(piece)
    return JarFacts(sha256=digest.hexdigest(), size_bytes=size)


def function_class(file: BinaryIO, class_name: str) -> FunctionClass:
    """Look for a class in a JAR, and tell what kind of function it is.

    Raises: InvalidError with the path `jar` where this is no JAR, and `className` where it has no such function.
    """
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return _Jar(archive).function(class_name)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, struct.error) as error:
        raise _no_jar(f"its archive is damaged ({error})") from error


class _Jar:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise _no_jar(f"it would unpack to more than {MAX_UNPACKED_BYTES // 2**30} GiB")
        self._classes = {
            entry.filename.removesuffix(".class").replace("/", "."): entry
            for entry in entries
            if entry.filename.endswith(".class")
        }

    def function(self, name: str) -> FunctionClass:
        if name not in self._classes:
            raise _no_class(name, [*self._classes])
        found = self._read(name)
        if found.is_abstract:
            what = "an interface" if found.is_interface else "abstract"
            raise InvalidError(
                f"{name} is {what}, so nothing can be made of it; name a class that extends it.", path=("className",)
            )
        ancestors = [*self._ancestors(found)]
        for ancestor in ancestors:
            if ancestor in _HIVE_CLASSES or ancestor.startswith(_HIVE_PACKAGE):
                return FunctionClass(kind=UdfKind.HIVE)
        for ancestor in ancestors:
            if ancestor in _SPARK_ARITIES:
                return FunctionClass(kind=UdfKind.SPARK, arity=_SPARK_ARITIES[ancestor])
        unknown = [each for each in ancestors if each not in self._classes and not each.startswith(_JAVA)]
        if not unknown:
            raise _no_function(name, found)
        return FunctionClass(kind=None, unknown=unknown[0])

    def _ancestors(self, of: ClassFile) -> Iterator[str]:
        """All that a class extends and implements, the nearest first, as far as the JAR tells."""
        seen: set[str] = set()
        waiting = [of]
        while waiting:
            for name in waiting.pop(0).parents:
                if name in seen:
                    continue
                seen.add(name)
                yield name
                if name in self._classes and len(seen) <= MAX_ANCESTORS:
                    waiting.append(self._read(name))

    def _read(self, name: str) -> ClassFile:
        entry = self._classes[name]
        if entry.flag_bits & _ENCRYPTED:
            raise _no_jar(f"its entry {entry.filename} is encrypted")
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise _no_jar(f"its entry {entry.filename} is packed in a way that Java does not know")
        if entry.file_size > MAX_CLASS_BYTES:
            raise _no_jar(f"its entry {entry.filename} is larger than a class can be")
        try:
            found = read_class(self._archive.read(entry))
        except ClassFileError as error:
            raise _no_jar(f"its entry {entry.filename} is no class that Java could load ({error})") from error
        if found.name != name:
            raise _no_jar(f"its entry {entry.filename} holds another class, {found.name}")
        return found


def _check_directory(file: BinaryIO) -> None:
    """Refuse what is no archive, and one whose directory alone would fill the memory.

    Raises: InvalidError.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _LONGEST_COMMENT - _END.size))
    tail = file.read()
    start = tail.rfind(_END_SIGNATURE)
    if start < 0 or len(tail) - start < _END.size:
        raise _no_jar("it is no ZIP archive, or was cut off")
    entries, directory_bytes = _END.unpack_from(tail, start)[4:6]
    if entries == MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        raise _no_jar(f"it has {MAX_ENTRIES:,} entries or more")


def _no_jar(why: str) -> InvalidError:
    return InvalidError(f"This file is not taken as a JAR: {why}. Build it anew, and upload that.", path=("jar",))


def _no_class(name: str, classes: Sequence[str]) -> InvalidError:
    if not classes:
        return InvalidError("The JAR holds no classes at all; is it the one that was built?", path=("className",))
    near = _near(name, classes)
    told = f"The nearest that it has: {', '.join(near)}." if near else f"It has {len(classes):,} others."
    return InvalidError(
        f"The JAR has no class {name}. {told} Name the class with its package, a nested one with `$`.",
        path=("className",),
    )


def _near(name: str, classes: Sequence[str]) -> list[str]:
    """Those with the same last name first, wherever they are, then those whose last names are spelt alike."""
    by_last_name: dict[str, list[str]] = {}
    for each in classes:
        by_last_name.setdefault(_last_name(each), []).append(each)
    alike = get_close_matches(_last_name(name), [*by_last_name][:MAX_COMPARED], n=MAX_NAMED, cutoff=0.7)
    found = [each for last_name in (_last_name(name), *alike) for each in by_last_name.get(last_name, ())]
    if not found and len(classes) <= MAX_NAMED:
        found = sorted(classes)
    return [*dict.fromkeys(found)][:MAX_NAMED]


def _last_name(name: str) -> str:
    """Without its package, in lower case, however somebody has written the rest."""
    return name.replace("$", ".").replace("/", ".").rpartition(".")[2].lower()


def _no_function(name: str, found: ClassFile) -> InvalidError:
    parents = [each for each in found.parents if each != "java.lang.Object"]
    told = f"extends or implements {', '.join(parents[:MAX_NAMED])}" if parents else "extends and implements nothing"
    return InvalidError(
        f"{name} is no function of Hive or Spark: it {told}. For Hive and Spark extend "
        f"org.apache.hadoop.hive.ql.exec.UDF or org.apache.hadoop.hive.ql.udf.generic.GenericUDF (also UDAF, "
        f"GenericUDTF), for Spark alone implement {_SPARK_FUNCTION}1 to {_SPARK_FUNCTION}22.",
        path=("className",),
    )

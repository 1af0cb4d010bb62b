"""JARs: what is one, what its classes are, and what is told of one that is not as it should be."""

import io
import struct
import zipfile
from contextlib import suppress

import pytest

from app.domain import jars
from app.domain.class_files import ClassFileError, read_class
from app.domain.errors import InvalidError
from app.domain.jars import FunctionClass, function_class, jar_facts
from app.domain.udfs import UdfKind
from tests.support.jars import ABSTRACT, HIVE_UDF, INTERFACE, SPARK_UDF1, class_file, hive_jar, jar, path_of, spark_jar

GENERIC = "org.apache.hadoop.hive.ql.udf.generic"
NAME = "com.example.F"


def looked_up(content: bytes, name: str = NAME) -> FunctionClass:
    return function_class(io.BytesIO(content), name)


def refused(content: bytes, name: str = NAME) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        looked_up(content, name)
    return caught.value


@pytest.mark.parametrize(
    "parent",
    [
        HIVE_UDF,
        "org.apache.hadoop.hive.ql.exec.UDAF",
        f"{GENERIC}.GenericUDF",
        f"{GENERIC}.GenericUDTF",
        f"{GENERIC}.AbstractGenericUDAFResolver",
        "org.apache.hadoop.hive.ql.udf.UDFConv",
    ],
)
def test_what_extends_hives_classes_is_a_hive_function(parent: str) -> None:
    assert looked_up(hive_jar(NAME, extends=parent)) == FunctionClass(kind=UdfKind.HIVE)


def test_what_implements_hives_resolver_is_a_hive_function() -> None:
    content = class_file(NAME, implements=["java.io.Serializable", f"{GENERIC}.GenericUDAFResolver2"])
    assert looked_up(jar({path_of(NAME): content})).kind is UdfKind.HIVE


@pytest.mark.parametrize("arity", [0, 1, 9, 22])
def test_what_implements_sparks_interface_is_a_spark_function_of_so_many_values(arity: int) -> None:
    assert looked_up(spark_jar(NAME, arity=arity)) == FunctionClass(kind=UdfKind.SPARK, arity=arity)


def test_parents_are_followed_inside_the_jar_classes_and_interfaces_alike() -> None:
    content = {
        path_of(NAME): class_file(NAME, extends="a.Middle"),
        path_of("a.Middle"): class_file("a.Middle", extends="a.Base", flags=ABSTRACT),
        path_of("a.Base"): class_file("a.Base", implements=["a.Face"]),
        path_of("a.Face"): class_file("a.Face", implements=[SPARK_UDF1], flags=INTERFACE | ABSTRACT),
    }
    assert looked_up(jar(content)) == FunctionClass(kind=UdfKind.SPARK, arity=1)
    content[path_of("a.Base")] = class_file("a.Base", extends=HIVE_UDF, implements=["a.Face"])
    assert looked_up(jar(content)).kind is UdfKind.HIVE  # both engines can call it so


def test_a_circle_of_parents_ends() -> None:
    content = {path_of(NAME): class_file(NAME, extends="a.B"), path_of("a.B"): class_file("a.B", extends=NAME)}
    assert "no function of Hive or Spark" in refused(jar(content)).message


def test_where_the_parents_lead_out_of_the_jar_it_says_to_which_class() -> None:
    assert looked_up(hive_jar(NAME, extends="com.other.Base")) == FunctionClass(kind=None, unknown="com.other.Base")


def test_a_class_that_is_no_function_is_told_what_it_is_and_what_would_be_one() -> None:
    error = refused(jar({path_of(NAME): class_file(NAME, implements=["java.util.function.Function"])}))
    assert error.path == ("className",)
    assert "java.util.function.Function" in error.message
    assert "exec.UDF" in error.message
    assert "java.UDF1" in error.message


@pytest.mark.parametrize(("flags", "word"), [(ABSTRACT, "abstract"), (INTERFACE | ABSTRACT, "an interface")])
def test_a_class_of_which_nothing_can_be_made_is_refused(flags: int, word: str) -> None:
    error = refused(jar({path_of(NAME): class_file(NAME, extends=HIVE_UDF, flags=flags)}))
    assert error.path == ("className",)
    assert word in error.message


@pytest.mark.parametrize(
    "asked", ["Lower", "com.example.lower", "com.wrong.Lower", "com.example.Lowr", "com/example/Lower"]
)
def test_a_class_that_is_not_there_is_told_its_nearest(asked: str) -> None:
    content = jar({path_of(f"com.other.X{number}"): b"" for number in range(50)} | {path_of("com.example.Lower"): b""})
    error = refused(content, asked)
    assert error.path == ("className",)
    assert "com.example.Lower" in error.message


def test_a_nested_class_is_found_by_its_own_name_and_suggested_for_javas() -> None:
    content = jar({path_of("a.Outer$Inner"): class_file("a.Outer$Inner", extends=HIVE_UDF)})
    assert looked_up(content, "a.Outer$Inner").kind is UdfKind.HIVE
    assert "a.Outer$Inner" in refused(content, "a.Outer.Inner").message


def test_a_jar_without_classes_says_so() -> None:
    assert "no classes at all" in refused(jar({"readme.txt": b"x"})).message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive" * 100, b"PK\5\6", class_file(NAME)])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    assert refused(content).path == ("jar",)


def test_an_archive_that_was_cut_off_or_changed_is_refused() -> None:
    whole = hive_jar(NAME)
    place = whole.index(path_of(NAME).encode()) + len(path_of(NAME))
    for content in (whole[:-1], whole[: len(whole) // 2], whole[place + 10 :]):
        assert refused(content).path == ("jar",)
    for offset in range(place, place + 40):  # in the compressed class itself
        changed = bytearray(whole)
        changed[offset] ^= 0xFF
        assert refused(bytes(changed)).path == ("jar",)


def test_any_damage_at_all_is_a_refusal_and_never_a_fault() -> None:
    whole = hive_jar(NAME)
    for offset in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[offset] ^= 0x55
        with suppress(InvalidError):  # what is told of it depends on the place
            looked_up(bytes(changed))


def test_an_archive_that_would_unpack_to_too_much_is_refused_without_unpacking_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jars, "MAX_UNPACKED_BYTES", 10 * 2**20)
    content = jar({path_of(NAME): class_file(NAME, extends=HIVE_UDF), "zeros": bytes(10 * 2**20 + 1)})
    assert len(content) < 20_000
    assert "unpack" in refused(content).message


def test_a_class_larger_than_one_can_be_is_not_read() -> None:
    content = jar({path_of(NAME): bytes(jars.MAX_CLASS_BYTES + 1)})
    assert "larger than a class" in refused(content).message


def test_an_archive_whose_directory_is_too_large_is_refused_before_it_is_read() -> None:
    whole = hive_jar(NAME)
    for place, value in ((10, struct.pack("<H", 65_535)), (12, struct.pack("<L", 2**31))):
        end = bytearray(whole)
        end[len(whole) - 22 + place : len(whole) - 22 + place + len(value)] = value
        assert "entries or more" in refused(bytes(end)).message


def test_an_encrypted_class_is_refused() -> None:
    content = bytearray(hive_jar(NAME))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.rindex(signature) + offset
        content[place] |= 1
    assert "encrypted" in refused(bytes(content)).message


def test_a_file_that_is_no_class_or_another_one_is_refused() -> None:
    assert "is no class" in refused(jar({path_of(NAME): b"nonsense"})).message
    assert "com.example.G" in refused(jar({path_of(NAME): class_file("com.example.G")})).message


def test_a_class_that_is_cut_off_anywhere_is_none() -> None:
    content = class_file(NAME, extends=HIVE_UDF, implements=[SPARK_UDF1])[:-6]
    assert read_class(content).parents == [HIVE_UDF, SPARK_UDF1]
    for size in range(len(content)):
        with pytest.raises(ClassFileError):
            read_class(content[:size])


def test_an_archive_with_something_before_it_or_a_comment_behind_it_is_still_one() -> None:
    file = io.BytesIO()
    file.write(b"#!/bin/sh\nexec java -jar $0\n")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(path_of(NAME), class_file(NAME, extends=HIVE_UDF))
        archive.comment = b"c" * 5_000
    assert looked_up(file.getvalue()).kind is UdfKind.HIVE


def test_the_digest_and_the_size_are_the_whole_files() -> None:
    facts = jar_facts(io.BytesIO(b"abc"))
    assert (facts.size_bytes, facts.sha256[:8]) == (3, "ba7816bf")

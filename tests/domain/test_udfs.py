"""Functions: the names and types that they may have, and who can call them."""

from dataclasses import replace

import pytest

from app.domain.errors import InvalidError
from app.domain.tasks import TaskType
from app.domain.udfs import (
    TakenUdf,
    UdfKind,
    checked_class_name,
    checked_function_name,
    checked_parameter_types,
    checked_return_type,
    refuse_kind,
    same_functions,
)

ONE = TakenUdf(
    function_name="f", class_name="a.F", kind=UdfKind.SPARK, jar_sha256="0" * 64, location="udfs/1/x.jar",
    parameter_types=("int",), return_type="string",
)  # fmt: skip


@pytest.mark.parametrize("name", ["f", "_f", "my_lower2", "F" * 128])
def test_a_function_is_called_by_a_plain_name(name: str) -> None:
    assert checked_function_name(name) == name


@pytest.mark.parametrize("name", ["", "2f", "f g", "f;", "f'", "`f`", "a.f", "é", "f" * 129, "f\n"])
def test_what_could_be_more_than_a_name_is_none(name: str) -> None:
    with pytest.raises(InvalidError, match="letters, digits"):
        checked_function_name(name)


@pytest.mark.parametrize("name", ["F", "com.example.F", "a.Outer$Inner", "a._b.C1", "größe.Maß"])
def test_a_class_has_a_java_name(name: str) -> None:
    assert checked_class_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "a.", "a..F", "a/F", "a.F'", "a.F' USING JAR '/x", "1.F", "a b", "F" * 501])
def test_what_could_be_more_than_a_class_name_is_none(name: str) -> None:
    with pytest.raises(InvalidError, match="with its package"):
        checked_class_name(name)


def test_types_are_sql_types_in_sparks_words() -> None:
    types = ["string", "BIGINT", " decimal(10,2) ", "array<string>", "map<string, int>", "struct<a: int, b: string>"]
    assert checked_parameter_types(types) == [each.strip() for each in types]
    assert checked_return_type("timestamp") == "timestamp"
    assert checked_return_type(" ") is None


@pytest.mark.parametrize(
    "text", ["", "foo", "int; drop table x", "string) --", "array<foo>", "int int", "'", "a" * 2000]
)
def test_what_is_no_type_is_refused_at_its_place(text: str) -> None:
    with pytest.raises(InvalidError, match="no SQL type") as caught:
        checked_parameter_types(["int", text])
    assert caught.value.path == ("parameterTypes", "1")


@pytest.mark.parametrize(
    ("type_", "kind", "called"),
    [
        (TaskType.HIVE, UdfKind.HIVE, True),
        (TaskType.HIVE, UdfKind.SPARK, False),
        (TaskType.SPARK_SQL, UdfKind.HIVE, True),
        (TaskType.SPARK_SQL, UdfKind.SPARK, True),
        (TaskType.PYSPARK, UdfKind.SPARK, True),
        (TaskType.PRESTO, UdfKind.HIVE, False),
        (TaskType.MYSQL, UdfKind.HIVE, False),
    ],
)
def test_each_kind_of_task_calls_what_its_engine_can(type_: TaskType, kind: UdfKind, called: bool) -> None:
    if called:
        refuse_kind(type_, kind, "f", path=("udfIds",))
        return
    with pytest.raises(InvalidError, match="«f»") as caught:
        refuse_kind(type_, kind, "f", path=("udfIds",))
    assert caught.value.path == ("udfIds",)


def test_a_function_comes_back_from_its_document_as_it_was() -> None:
    assert TakenUdf.of_document(ONE.to_document()) == ONE


def test_functions_are_the_same_wherever_their_jars_lie_and_other_by_anything_else() -> None:
    assert same_functions([ONE, replace(ONE, function_name="g")], [replace(ONE, function_name="G", location="y"), ONE])
    assert not same_functions([ONE], [])
    changes = {"function_name": "g", "class_name": "a.G", "kind": UdfKind.HIVE, "jar_sha256": "1", "return_type": None}
    for name, value in {**changes, "parameter_types": ()}.items():
        assert not same_functions([ONE], [replace(ONE, **{name: value})]), name

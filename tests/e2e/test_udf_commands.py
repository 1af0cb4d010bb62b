"""`data-phantom udf` against a running server: what it says, and its exit status."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.udf_commands import apart, udf
from tests.e2e.conftest import Deployment, NewApi
from tests.support.client import Api
from tests.support.jars import hive_jar, spark_jar
from tests.support.processes import free_port

PASSWORD = "correct horse"


@pytest.fixture
async def caller(embedded: Deployment, new_api: NewApi, name: Callable[[], str]) -> tuple[Api, str]:
    """Somebody with an account, and the address."""
    api, who = new_api(embedded), name()
    await api.sign_up(who)
    return api, f"{who}@example.com"


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{name}.jar"
    path.write_bytes(content)
    return path


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    return written(tmp_path, "functions", hive_jar())


async def run(api: Api, *arguments: str, token: str | None = None, typed: str = "") -> Result:
    """In a thread, as the server's answers may come by this very process."""
    options = ["--server", api.base, *(["--token", token] if token else [])]
    runner = CliRunner()
    return await asyncio.to_thread(runner.invoke, udf, [*arguments, *options], input=typed)


async def uploaded(api: Api, jar: Path, function: str, *more: str) -> Result:
    return await run(
        api, "upload", str(jar), "--function", function, "--class", "com.example.Lower", *more, token=api.token
    )


async def test_a_jar_is_uploaded_listed_and_deleted(caller: tuple[Api, str], jar: Path) -> None:
    api, _ = caller
    types = ("--parameter-types", "string, decimal(10,2)", "--return-type", "string", "--name", "Lower case")
    result = await uploaded(api, jar, "my_lower", *types)
    assert result.exit_code == 0, result.output
    assert "«Lower case»: my_lower is com.example.Lower, a HIVE function." in result.stdout
    result = await run(api, "list", token=api.token)
    assert result.exit_code == 0
    assert "my_lower(string, decimal(10,2)) → string is com.example.Lower" in result.stdout
    assert "used by no task" in result.stdout
    result = await run(api, "delete", "Lower case", token=api.token)
    assert (result.exit_code, result.stdout) == (0, "Deleted «Lower case».\n")
    result = await run(api, "list", token=api.token)
    assert (result.exit_code, result.stdout) == (0, "")


async def test_who_has_no_token_signs_in_by_address_and_password_and_out_again(
    caller: tuple[Api, str], jar: Path
) -> None:
    api, email = caller
    arguments = ("upload", str(jar), "--function", "f", "--class", "com.example.Lower", "--email", email)
    result = await run(api, *arguments, typed=f"{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    result = await run(api, *arguments, typed="wrong horse\n")
    assert result.exit_code == 1
    assert "password" in result.stderr
    result = await run(api, "list", token="no.good.token")
    assert result.exit_code == 1
    assert result.stderr.strip()


async def test_what_the_server_refuses_is_said_in_its_words_with_status_1(
    caller: tuple[Api, str], tmp_path: Path
) -> None:
    api, _ = caller
    result = await uploaded(api, written(tmp_path, "spark", spark_jar("com.example.Lower")), "f")
    assert result.exit_code == 1
    assert result.stderr.startswith("returnType: A Spark function")
    result = await uploaded(api, written(tmp_path, "nothing", b"no JAR"), "f")
    assert result.exit_code == 1
    assert result.stderr.startswith("jar: This file is not taken as a JAR")
    result = await run(api, "delete", "nothing", token=api.token)
    assert result.exit_code == 1
    assert "«nothing»" in result.stderr
    result = await run(api, "upload", str(tmp_path / "none"), "--function", "f", "--class", "a.F", token=api.token)
    assert result.exit_code == 2


async def test_a_server_that_is_none_is_told_so(embedded: Deployment) -> None:
    for port, words in ((free_port(), "does not answer"), (embedded.platform.health_port, "not as a Data Phantom")):
        result = await run(Api(f"http://127.0.0.1:{port}"), "list", token="t")
        assert result.exit_code == 1
        assert words in result.stderr


def test_the_commands_belong_to_data_phantom() -> None:
    result = CliRunner().invoke(cli, ["udf", "--help"])
    assert all(word in result.stdout for word in ("upload", "list", "delete"))


@pytest.mark.parametrize(
    ("types", "found"),
    [
        ("", []),
        ("int", ["int"]),
        ("int, string", ["int", "string"]),
        ("decimal(10,2),map<string,int>", ["decimal(10,2)", "map<string,int>"]),
        ("struct<a: int, b: array<string>>, int", ["struct<a: int, b: array<string>>", "int"]),
    ],
)
def test_types_are_taken_apart_at_their_own_commas(types: str, found: list[str]) -> None:
    assert apart(types) == found

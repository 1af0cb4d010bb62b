"""`data-phantom udf`: uploads JARs of functions to a running server, lists what is there, and deletes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from app.remote import Remote, RemoteError

UPLOAD = """mutation UploadUdf($input: UploadUdfInput!) { uploadUdf(input: $input) {
  udf { id name functionName className kind jarSizeBytes jarSha256 } errors { message path } } }"""
UDFS = """query Udfs($after: String, $search: String) { udfs(first: 100, after: $after, search: $search) {
  nodes { id name functionName className kind parameterTypes returnType jarSizeBytes
    usedBy { name playground { name } } }
  pageInfo { hasNextPage endCursor } } }"""
DELETE = """mutation DeleteUdf($input: DeleteUdfInput!) { deleteUdf(input: $input) {
  deletedId errors { message path } } }"""

udf = typer.Typer(
    help="Functions of JARs, on a running server. Sign in by --token, or by --email and a password.",
    no_args_is_help=True,
)

Server = Annotated[str, typer.Option(help="The server's address.", envvar="DATA_PHANTOM_SERVER")]
Token = Annotated[str | None, typer.Option(help="An access token.", envvar="DATA_PHANTOM_TOKEN", show_envvar=True)]
Email = Annotated[str | None, typer.Option(help="The account's address.", envvar="DATA_PHANTOM_EMAIL")]
Password = Annotated[
    str | None, typer.Option(help="Asked for where it is not given.", envvar="DATA_PHANTOM_PASSWORD", hidden=True)
]
DEFAULT_SERVER = "http://127.0.0.1:9092"


@udf.command("upload")
def upload(
    jar: Annotated[Path, typer.Argument(help="The JAR.", exists=True, dir_okay=False, readable=True)],
    function: Annotated[str, typer.Option("--function", help="What a text calls it by.")],
    class_name: Annotated[str, typer.Option("--class", help="The class in the JAR, such as com.example.Lower.")],
    name: Annotated[str | None, typer.Option(help="Its name; the function's where it is not given.")] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    parameter_types: Annotated[str, typer.Option(help="Apart by commas, such as 'string, decimal(10,2)'.")] = "",
    return_type: Annotated[str | None, typer.Option(help="Wanted for a class of Spark's UDF0 to UDF22.")] = None,
    kind: Annotated[str | None, typer.Option(help="HIVE or SPARK, where the JAR alone does not tell.")] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    email: Email = None,
    password: Password = None,
) -> None:
    """Upload a JAR, and make a function of a class in it."""
    with _signed_in(server, token, email, password) as remote:
        values = {
            "name": name or function,
            "functionName": function,
            "className": class_name,
            "description": description,
            "parameterTypes": apart(parameter_types),
            "returnType": return_type,
            "kind": kind and kind.upper(),
            "jar": None,
        }
        made = remote.call(UPLOAD, file=jar, at="input.jar", input=values)["uploadUdf"]["udf"]
    typer.echo(f"Uploaded «{made['name']}»: {made['functionName']} is {made['className']}, a {made['kind']} function.")
    typer.echo(f"  JAR  {made['jarSizeBytes']:,} bytes, SHA-256 {made['jarSha256']}")
    typer.echo(f"  id   {made['id']}")


@udf.command("list")
def show(
    search: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    email: Email = None,
    password: Password = None,
) -> None:
    """List your functions, the newest first."""
    with _signed_in(server, token, email, password) as remote:
        for each in _all(remote, search):
            typer.echo(f"{each['name']}  ({each['kind']}, {each['jarSizeBytes']:,} bytes)")
            types = ", ".join(each["parameterTypes"]) or "…"
            gives = f" → {each['returnType']}" if each["returnType"] else ""
            typer.echo(f"  {each['functionName']}({types}){gives} is {each['className']}")
            users = ", ".join(f"{task['name']} of {task['playground']['name']}" for task in each["usedBy"])
            typer.echo(f"  used by {users or 'no task'}")


@udf.command("delete")
def delete(
    name: Annotated[str, typer.Argument(help="Its name.")],
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    email: Email = None,
    password: Password = None,
) -> None:
    """Delete a function that no task has."""
    with _signed_in(server, token, email, password) as remote:
        found = [each for each in _all(remote, name) if each["name"] == name]
        if not found:
            raise RemoteError(f"You have no UDF «{name}»; `data-phantom udf list` shows those that you have.")
        remote.call(DELETE, input={"udfId": found[0]["id"]})
    typer.echo(f"Deleted «{name}».")


def apart(types: str) -> list[str]:
    """Types that commas separate, but for the commas inside brackets."""
    found, depth = [""], 0
    for character in types:
        depth += (character in "(<") - (character in ")>")
        if character == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += character
    return [each.strip() for each in found if each.strip()]


def _all(remote: Remote, search: str | None) -> Iterator[dict[str, Any]]:
    after = None
    while True:
        page = remote.call(UDFS, after=after, search=search)["udfs"]
        yield from page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


@contextmanager
def _signed_in(server: str, token: str | None, email: str | None, password: str | None) -> Iterator[Remote]:
    """What the server refuses is said in words, with status 1."""
    if not token:
        email = email or typer.prompt("E-mail")
        password = password or typer.prompt("Password", hide_input=True)
    try:
        with Remote.signed_in(server=server, token=token or None, email=email, password=password) as remote:
            yield remote
    except RemoteError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error

"""A running server as the command line talks to it: an outside client of the API, with a token or a password."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import orjson

TIMEOUT = httpx.Timeout(60, write=600, read=600)  # an upload over a slow line takes its time
LOGIN = """mutation Login($input: LoginInput!) {
  login(input: $input) { session { accessToken refreshToken } errors { message path } } }"""
LOGOUT = "mutation Logout($input: LogoutInput!) { logout(input: $input) { loggedOut } }"


class RemoteError(Exception):
    """The server cannot be reached, or has refused; the message says what to do next."""


class Remote:
    def __init__(self, *, server: str, token: str | None = None) -> None:
        self._server = server.rstrip("/").removesuffix("/graphql")
        self._http = httpx.Client(timeout=TIMEOUT)
        self._token = token

    @classmethod
    @contextmanager
    def signed_in(cls, *, server: str, token: str | None, email: str | None, password: str | None) -> Iterator[Self]:
        """By a token; where there is none, by an address and a password, signed out again at the end.

        Raises: RemoteError.
        """
        remote = cls(server=server, token=token)
        session: Mapping[str, str] = {}
        try:
            if token is None:
                credentials = {"email": email or "", "password": password or ""}
                session = remote.call(LOGIN, input=credentials)["login"]["session"]
                remote._token = session["accessToken"]
            yield remote
        finally:
            if session:
                with suppress(RemoteError):  # the session ends by itself
                    remote.call(LOGOUT, input={"refreshToken": session["refreshToken"]})
            remote._http.close()

    def call(self, document: str, *, file: Path | None = None, at: str = "", **variables: Any) -> dict[str, Any]:
        """The `data` of an operation; `file` goes in a form, in the place of the null that `at` leads to.

        Raises: RemoteError.
        """
        operation = {"query": document, "variables": variables}
        headers = {"accept": "application/json"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        url = f"{self._server}/graphql"
        try:
            if file is None:
                return _data(self._http.post(url, json=operation, headers=headers))
            form = {"operations": orjson.dumps(operation), "map": orjson.dumps({"0": [f"variables.{at}"]})}
            with file.open("rb") as content:
                files = {"0": (file.name, content, "application/java-archive")}
                headers["graphql-require-preflight"] = "1"
                return _data(self._http.post(url, data=form, files=files, headers=headers))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RemoteError(
                f"{self._server} does not answer: {error or type(error).__name__}. Name the server by --server."
            ) from error
        except OSError as error:
            raise RemoteError(f"{file} cannot be read: {error.strerror or error}.") from error


def _data(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = orjson.loads(response.content)
        data, errors = answer.get("data"), [*answer.get("errors", ())]
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise RemoteError(
            f"{response.url} has answered {response.status_code}, and not as a Data Phantom server does. Name another "
            f"by --server."
        ) from error
    for payload in (data or {}).values():
        if isinstance(payload, dict):
            errors += payload.get("errors", ())
    if errors or not isinstance(data, dict):
        raise RemoteError("\n".join(_told(error) for error in errors) or "The server has answered nothing.")
    return data


def _told(error: Mapping[str, Any]) -> str:
    """A refusal in words, with the field of the input that it is about."""
    path = ".".join(str(each) for each in error.get("path") or ()) if "extensions" not in error else ""
    return f"{path}: {error['message']}" if path else str(error["message"])

"""The statement protocol over HTTP: a statement is sent, and its answers are asked for one after the other."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from random import uniform
from typing import Any

import httpx
import orjson

from app.engines.base import LOST, EngineError, TerminalEngineError, TransientEngineError
from app.engines.presto.pages import Page, read_page

_STATEMENT = "/v1/statement"
_RETRIED = {429, 502, 503, 504}  # the protocol's own words for «ask again»; a proxy's, or of a server that is busy
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60  # beyond the time that the server was told to wait
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 3.0
_CHECK_SECONDS = 3


class StatementClient:
    """One server; what fails by the network is asked again for as long as `patience`.

    Asking again is safe: a page can be had twice until the one after it was asked for, and a statement whose answer got
    lost is never begun, for a server begins with the first question that follows.
    """

    def __init__(
        self,
        *,
        url: str,
        headers: Mapping[str, str],
        auth: httpx.Auth | None = None,
        tls: ssl.SSLContext | None = None,
        patience: timedelta = timedelta(seconds=30),
    ) -> None:
        self._base = httpx.URL(url)
        self._patience = patience.total_seconds()
        self._http = httpx.AsyncClient(
            headers=_encoded(headers),
            auth=auth,
            verify=tls or True,
            follow_redirects=True,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )

    async def send(self, text: str, headers: Mapping[str, str]) -> tuple[Page, httpx.Headers]:
        """Hand a statement over; the server begins once its first page is asked for.

        Raises: TransientEngineError, TerminalEngineError.
        """
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            raise TerminalEngineError(f"The text holds what is no character: {error.reason}.", code="SYNTAX") from error
        return await self._page("POST", self._base.join(_STATEMENT), content=content, headers=_encoded(headers))

    async def ask(self, uri: str, *, wait: timedelta) -> tuple[Page, httpx.Headers]:
        """The page at `uri`; the server may let it wait until there are rows, at most as long as `wait`.

        Raises: TransientEngineError; TerminalEngineError, with code LOST where the page is not to be had (any more).
        """
        url = self._secure(uri).copy_set_param("maxWait", f"{max(int(wait / timedelta(milliseconds=1)), 1)}ms")
        return await self._page("GET", url)

    async def cancel(self, uri: str) -> None:
        """Stop the query whose next page is at `uri`; one that is gone is no error.

        Raises: TransientEngineError, TerminalEngineError.
        """
        await self._request("DELETE", self._secure(uri), seconds=_CHECK_SECONDS)

    async def kill(self, query_id: str) -> None:
        """Stop a query whose pages are lost, as far as the account may."""
        with suppress(EngineError):
            await self._request("DELETE", self._base.join(f"/v1/query/{query_id}"), seconds=_CHECK_SECONDS)

    async def check(self) -> None:
        """Raises: TransientEngineError, TerminalEngineError where no statement could be sent now."""
        response = await self._request("GET", self._base.join("/v1/info"), seconds=_CHECK_SECONDS)
        if _json(_accepted(response)).get("starting"):
            raise TransientEngineError("The server is starting still.", code="STARTING")

    async def close(self) -> None:
        await self._http.aclose()

    async def _page(self, method: str, url: httpx.URL, **arguments: Any) -> tuple[Page, httpx.Headers]:
        response = _accepted(await self._request(method, url, seconds=self._patience, **arguments))
        try:
            return read_page(_json(response)), response.headers
        except (KeyError, TypeError, AttributeError) as error:
            raise _no_protocol(response) from error

    async def _request(self, method: str, url: httpx.URL, *, seconds: float, **arguments: Any) -> httpx.Response:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        delay = _FIRST_DELAY
        while True:
            asked = 0.0
            try:
                response = await self._http.request(method, url, **arguments)
            except httpx.TransportError as error:
                failure = TransientEngineError(
                    f"The connection to {url.host} failed: {error or type(error).__name__}", code="CONNECTION"
                )
                failure.__cause__ = error
            else:
                if response.status_code not in _RETRIED:
                    return response
                failure = TransientEngineError(
                    f"{url.host} is busy or away; it answers {response.status_code} {response.reason_phrase}.",
                    code="UNAVAILABLE",
                )
                with suppress(ValueError):  # a date is not worth reading
                    asked = float(response.headers.get("Retry-After", 0))
            pause = max(delay * uniform(0.5, 1), asked)  # noqa: S311 - spreads the load, and keeps no secret
            if loop.time() + pause > deadline:
                raise failure
            await asyncio.sleep(pause)
            delay = min(delay * 2, _LONGEST_DELAY)

    def _secure(self, uri: str) -> httpx.URL:
        """Never without TLS where the server was configured with it: a proxy that ends TLS may not be known to it."""
        url = httpx.URL(uri)
        if self._base.scheme == "https" and url.scheme != "https":
            return self._base.join(url.raw_path.decode())
        return url


def _accepted(response: httpx.Response) -> httpx.Response:
    """Raises: TransientEngineError, TerminalEngineError unless the server has done what it was asked."""
    status = response.status_code
    if response.is_success:
        return response
    words = " ".join(response.text.split())[:300] or response.reason_phrase
    if status in {401, 403}:
        raise TerminalEngineError(
            f"The server refuses this account ({status}): {words}; look at user and password in the settings.",
            code="PERMISSION",
        )
    if status in {404, 410} and response.request.method == "GET":
        raise TerminalEngineError(
            f"The server does not know the query any more ({status}); it was restarted, or the rows have been taken.",
            code=LOST,
        )
    if response.is_server_error:
        raise TransientEngineError(f"The server failed ({status}): {words}", code="SERVER")
    raise TerminalEngineError(f"The server refuses the request ({status}): {words}", code="REFUSED")


def _json(response: httpx.Response) -> Mapping[str, Any]:
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise _no_protocol(response) from error
    if not isinstance(answer, dict):
        raise _no_protocol(response)
    return answer


def _no_protocol(response: httpx.Response) -> TerminalEngineError:
    return TerminalEngineError(
        f"What answers at {response.url.host} does not speak Presto's protocol; look at the URL in the settings.",
        code="PROTOCOL",
    )


def _encoded(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in headers.items()}

"""How browsers see the platform: its public address, and which other origins may call it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from app.settings.permitted import Permitted
from app.settings.section import Section


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("this is no address of a web server")
    return url.rstrip("/")


def _origin(url: str) -> str:
    if urlsplit(_address(url)).path:
        raise ValueError("an origin has no path")
    return _address(url)


class WebSettings(Section):
    """`public_url` stands in links that leave the platform (mails, webhooks); no other origin may call by default."""

    public_url: Annotated[str, AfterValidator(_address), Permitted("https://host[:port][/path]")] | None = None
    cors_origins: tuple[Annotated[str, AfterValidator(_origin), Permitted("https://host[:port]")], ...] = ()

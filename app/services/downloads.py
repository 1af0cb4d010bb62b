"""Links that work in a browser, for a while, for who has them: to files of the output store here."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from app.domain.errors import ExpiredError, NotFoundError

LIFETIME = timedelta(hours=1)
PATH = "/downloads"


class SignedLinks:
    """A link is bound to what it leads to by a signature; `kind` keeps one kind's from leading to another's."""

    def __init__(self, *, secret_key: str, public_url: str | None, path: str, kind: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret_key, salt=kind)
        self._base = f"{(public_url or '').rstrip('/')}{path}"

    def url_for(self, target: list[str]) -> str:
        return f"{self._base}/{self._serializer.dumps(target)}"

    def resolve(self, token: str) -> Any:
        """Raises: NotFoundError, ExpiredError."""
        try:
            return self._serializer.loads(token, max_age=int(LIFETIME.total_seconds()))
        except SignatureExpired as error:
            raise ExpiredError("This link has expired; ask for a new one where you found it.") from error
        except (BadData, ValueError) as error:
            raise NotFoundError("There is no such download.") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    location: str
    filename: str


class DownloadService:
    """A link tells one file, and gives nothing else."""

    def __init__(self, *, secret_key: str, public_url: str | None) -> None:
        self._links = SignedLinks(secret_key=secret_key, public_url=public_url, path=PATH, kind="download")

    def url_for(self, location: str, *, filename: str) -> str:
        return self._links.url_for([location, filename])

    def resolve(self, token: str) -> Download:
        """Raises: NotFoundError, ExpiredError."""
        location, filename = self._links.resolve(token)
        return Download(location=location, filename=filename)

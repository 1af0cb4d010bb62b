"""Links to files of the output store that work in a browser, for a while, for who has them."""

from dataclasses import dataclass
from datetime import timedelta

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from app.domain.errors import ExpiredError, NotFoundError

LIFETIME = timedelta(hours=1)
PATH = "/downloads"


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    location: str
    filename: str


class DownloadService:
    """A link is bound to one file by a signature; it tells nothing else and gives nothing else."""

    def __init__(self, *, secret_key: str, public_url: str | None) -> None:
        self._serializer = URLSafeTimedSerializer(secret_key, salt="download")
        self._base = (public_url or "").rstrip("/")

    def url_for(self, location: str, *, filename: str) -> str:
        return f"{self._base}{PATH}/{self._serializer.dumps([location, filename])}"

    def resolve(self, token: str) -> Download:
        """Raises: NotFoundError, ExpiredError."""
        try:
            location, filename = self._serializer.loads(token, max_age=int(LIFETIME.total_seconds()))
        except SignatureExpired as error:
            raise ExpiredError("This link has expired; ask for a new one where you found it.") from error
        except (BadSignature, ValueError, TypeError) as error:
            raise NotFoundError("There is no such download.") from error
        return Download(location=location, filename=filename)

"""URLs that may carry a password: shown with the password masked, whole only to who asks for it."""

import re

from pydantic import SecretStr

MASK = "***"

# Up to the last @: a password that was not percent-encoded may hold a / or an @ itself.
_USER_INFO = re.compile(r"(?<=://)(?P<user>[^/?#@:]*):(?P<password>.*)@", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"(?i)(?<=[?&;])(?P<name>[^=&;]*(?:password|pwd|secret|token)[^=&;]*)=[^&;#]*")


class SecretUrl(SecretStr):
    """A URL; `str()` of it and its dumps have no password in them."""

    def _display(self) -> str:
        return mask_url(self.get_secret_value())


def mask_url(url: str) -> str:
    """The URL with every password in it masked, in the user's part and in the parameters."""
    masked = _USER_INFO.sub(lambda match: f"{match['user']}:{MASK}@", url)
    return _SECRET_PARAMETER.sub(lambda match: f"{match['name']}={MASK}", masked)

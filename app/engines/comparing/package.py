"""What the job's workers need of this platform, as one archive of Python files: the comparing core, and the job."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import resources

_PACKAGES = ("app.domain.reconciliation", "app.engines.comparing")
_MODULES = ("app/__init__.py", "app/domain/__init__.py", "app/domain/errors.py", "app/engines/__init__.py")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same files make the same archive


@cache
def package() -> tuple[str, bytes]:
    """A name that changes with what is inside, and the archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        for name, text in sorted(_files()):
            files.writestr(zipfile.ZipInfo(name, _LONG_AGO), text, zipfile.ZIP_DEFLATED)
    data = archive.getvalue()
    return f"{hashlib.sha256(data).hexdigest()[:16]}/comparison.zip", data


def _files() -> Iterator[tuple[str, bytes]]:
    root = resources.files("app")
    for name in _MODULES:
        yield name, root.joinpath(*name.split("/")[1:]).read_bytes()
    for package_name in _PACKAGES:
        for file in resources.files(package_name).iterdir():
            if file.name.endswith(".py"):
                yield f"{package_name.replace('.', '/')}/{file.name}", file.read_bytes()

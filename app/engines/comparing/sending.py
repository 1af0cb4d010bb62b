"""Functions for Spark's workers that bring the code along which they need, within themselves.

Files that a session of Spark Connect is given would do as well, if Spark did not copy the session for each frame that
is kept. When such a copy is collected as garbage its files go, and every later job on the server fails without them.
"""

from __future__ import annotations  # where this is run, there are no names for them

import hashlib
from collections.abc import Callable
from typing import Any

from app.engines.comparing.package import package


def sent(name: str, *first: Any) -> Callable[..., Any]:
    """A function of `workers`, with its first arguments; these are plain values, which need no code to be read.

    What is inside travels as code itself and knows nothing of this module. A worker's process that has the code of
    another version, from before an upgrade, takes the new one.
    """
    archive = package()[1]
    digest = hashlib.sha256(archive).hexdigest()

    def call(*values: Any) -> Any:
        import sys  # noqa: PLC0415 - it is the worker that imports

        if getattr(sys, "data_phantom", None) != digest:
            take(sys)
        from app.engines.comparing import workers  # noqa: PLC0415 - as above

        return getattr(workers, name)(*first, *values)

    def take(sys: Any) -> None:
        import io  # noqa: PLC0415 - as above
        import zipfile  # noqa: PLC0415 - as above
        from importlib.abc import InspectLoader, MetaPathFinder  # noqa: PLC0415 - as above
        from importlib.util import spec_from_loader  # noqa: PLC0415 - as above

        files = zipfile.ZipFile(io.BytesIO(archive))
        names = set(files.namelist())

        class Importer(MetaPathFinder, InspectLoader):
            data_phantom = True

            def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:  # noqa: ARG002 - the protocol's
                known = self.place(fullname, "/__init__.py") or self.place(fullname, ".py")
                return spec_from_loader(fullname, self, origin=known) if known else None

            def is_package(self, fullname: str) -> bool:
                return bool(self.place(fullname, "/__init__.py"))

            def get_source(self, fullname: str) -> str:
                return files.read(self.place(fullname, "/__init__.py") or self.place(fullname, ".py")).decode()

            def place(self, fullname: str, ending: str) -> str:
                name = fullname.replace(".", "/") + ending
                return name if name in names else ""

        for module in [module for module in sys.modules if module == "app" or module.startswith("app.")]:
            del sys.modules[module]
        sys.meta_path[:] = [Importer(), *(each for each in sys.meta_path if not hasattr(each, "data_phantom"))]
        sys.data_phantom = digest

    return call

"""Where compiled kernels are kept: beside their source or in the user's own cache, or nowhere for long."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import app

VARIABLE = "NUMBA_CACHE_DIR"


@contextmanager
def kernel_cache() -> Iterator[None]:
    """Numba finds a place by itself but for an account without a home, as containers have it, and refuses then.

    The place is nobody else's: kernels are loaded as code. It must be known before Numba is imported.
    """
    places = (Path(app.__file__).parent, os.path.expanduser("~"))  # noqa: PTH111 - Path.home() fails where there is none
    if os.environ.get(VARIABLE) or any(os.access(place, os.W_OK) for place in places):
        yield
        return
    with TemporaryDirectory(prefix="data-phantom-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]

"""Where compiled kernels are kept: in the user's own cache, or nowhere for long."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from app.domain.reconciliation.kernels.cache import VARIABLE, is_writable


@contextmanager
def kernel_cache() -> Iterator[None]:
    """An account that has no place for them, as containers have it, compiles them for the one comparison.

    The place is nobody else's: kernels are loaded as code.
    """
    if os.environ.get(VARIABLE) or is_writable():
        yield
        return
    with TemporaryDirectory(prefix="data-phantom-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]

"""The loops over bytes and hashes of the large path, compiled by numba: they hold no GIL, and know no Python objects.

What a kernel says of a cell or a row is what `cells` and `records` say of it; the tests hold them side by side.

Compiled code is kept in a folder of the user's cache (or under NUMBA_CACHE_DIR) that is named by all kernels' sources:
numba itself looks at the file of a kernel alone, and would not see that another one has changed that it calls.
"""

import os
from hashlib import sha256
from pathlib import Path

import numba


def _cache_folder() -> Path:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    base = os.environ.get("NUMBA_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "data-phantom"
    return Path(base).expanduser() / f"kernels-{digest}"


numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined] # numba makes its attributes at run time

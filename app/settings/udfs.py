"""User-defined functions: how large their JARs may be, and where a process keeps copies of them."""

from pathlib import Path
from typing import Annotated

from pydantic import ByteSize, Field

from app.settings.location import Location
from app.settings.permitted import Permitted
from app.settings.section import Section


class UdfSettings(Section):
    """`cache_directory` is used where the output store is not a folder; it need not be shared by the machines."""

    max_jar_size: Annotated[
        ByteSize, Field(ge=1024, le=2 * 2**30), Permitted("a size from 1KiB to 2GiB, such as 50MB")
    ] = ByteSize(50 * 10**6)
    cache_directory: Location = Path(".data-phantom/jars")

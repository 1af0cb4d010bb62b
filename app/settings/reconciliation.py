"""When two outputs are compared in memory and when by Bloom filters, how exact the filters are, and at what cost."""

from typing import Annotated

from pydantic import ByteSize, Field

from app.settings.location import Location
from app.settings.permitted import Permitted
from app.settings.section import Section

_SIZE = Permitted("a size of at least 256MiB, such as 2GB")


class ReconciliationSettings(Section):
    """The thresholds are bytes of the larger output; above `distributed_threshold` a Spark compares what lies on S3.

    `max_processes` is how many outputs a worker process compares at once, each time in a process that takes no more
    memory than `memory_limit`. What does not fit goes to files without names in `spill_directory`, which is beside the
    outputs where it is not given.
    """

    exact_match_threshold: Annotated[int, Field(ge=0)] = 1_048_576
    # The specification says 1 % in its text and 0.1 in its example: the stricter one is the default.
    false_positive_rate: Annotated[float, Field(ge=0.000001, le=0.5)] = 0.01
    estimated_rows: Annotated[int, Field(ge=1, le=10_000_000_000)] = 1_000_000
    distributed_threshold: Annotated[int, Field(ge=1)] | None = None
    max_processes: Annotated[int, Field(ge=1, le=64)] = 2
    memory_limit: Annotated[ByteSize, Field(ge=256 * 2**20), _SIZE] | None = None
    spill_directory: Location | None = None

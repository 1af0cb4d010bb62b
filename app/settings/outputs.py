"""Where the result files of tasks and reconciliations are kept."""

from pathlib import Path

from app.settings.location import Location
from app.settings.section import Section


class OutputsSettings(Section):
    """With several machines, the directory is one that all of them share."""

    directory: Location = Path(".data-phantom/outputs")

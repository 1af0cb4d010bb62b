"""Which version this is."""

from importlib.metadata import version

_DISTRIBUTION = "data-phantom"


def product_version() -> str:
    return version(_DISTRIBUTION)

"""A program of its own: at the end of its input it kills the process groups and removes the folders it was told of."""

import os
import shutil
import signal
import sys
from collections.abc import Iterable


def reap(lines: Iterable[str]) -> None:
    groups: set[int] = set()
    folders: list[str] = []
    for line in lines:
        verb, _, what = line.rstrip("\n").partition(" ")
        match verb:
            case "adopt":
                groups.add(int(what))
            case "release":
                groups.discard(int(what))
            case "remove":
                folders.append(what)
            case _:
                raise ValueError(f"there is no verb {verb}")
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    reap(sys.stdin)

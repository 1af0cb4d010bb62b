"""Runs a program, and kills it with its whole group as soon as standard input ends: when who started it has died."""

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> None:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - this is what it is for
    threading.Thread(target=_end_with, args=(process,), daemon=True).start()
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def _end_with(process: "subprocess.Popen[bytes]") -> None:
    os._exit(process.wait() & 0xFF)


if __name__ == "__main__":
    main(sys.argv[1:])

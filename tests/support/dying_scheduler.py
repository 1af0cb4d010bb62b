"""A scheduler that is killed at its first fire, between the commit and the sending of the jobs.

Run as `python -m tests.support.dying_scheduler`, with the environment of a deployment.
"""

import asyncio
import os
import signal

from app.context import open_process
from app.domain.events import Outbox
from app.processes import until_stopped
from app.settings import Settings
from workers.scheduler import SchedulerProcess


async def die(outbox: Outbox) -> None:
    if outbox.jobs:
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    async with open_process(Settings.load(None, os.environ)) as process:
        process.database._deliver = die
        async with SchedulerProcess(process).running():
            await until_stopped()


if __name__ == "__main__":
    asyncio.run(main())

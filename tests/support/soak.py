"""A soak: playgrounds run under faults, and at the end everything must be as if nothing had happened."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from itertools import pairwise
from random import Random
from time import monotonic

from redis.exceptions import RedisError

from tests.support.client import Api
from tests.support.faults import FAULTS
from tests.support.fragile import Fragile
from tests.support.invariants import Records, read_records, violations
from tests.support.loads import LOOK, TRIES, Load, Shape, cancelled, key_of, nap
from tests.support.witness import Witness, all_told, background, witnessing

QUIET = 90.0  # seconds for everything to end once the faults have
SCHEDULE = "mutation($i: UpdatePlaygroundInput!) { updatePlayground(input: $i) { errors { code message } } }"
EVERY_SECOND = {"cron": "* * * * * *", "catchup": "ALL"}
SETTINGS = {
    "DATA_PHANTOM__CONCURRENCY_CONFIG__PLAYGROUND_MAX_EXECUTION_FREQUENCY": "0",
    "DATA_PHANTOM__WORKER__MAX_TASKS": "8",  # a slot that is left held is missed soon
}


class Soak:
    """A fragile deployment under load, the faults that are done to it, and what came of them.

    The names of its playgrounds begin with `label`: one account may soak several times.
    """

    def __init__(
        self, fragile: Fragile, api: Api, random: Random, *, shapes: Sequence[Shape], label: str = "soak"
    ) -> None:
        self._fragile = fragile
        self._api = api
        self._random = random
        self._shapes = shapes
        self._label = label
        self._scheduled = ""
        self.loads: list[Load] = []
        self.witnesses: list[Witness] = []
        self.faults: Counter[str] = Counter()
        self.recoveries: dict[str, float] = {}
        self.violations: list[str] = []
        self.records: Records | None = None

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """Run and watch the playgrounds inside the block; at its end, let all come to rest."""
        await self._build()
        playgrounds = [*(load.playground for load in self.loads), self._scheduled]
        async with AsyncExitStack() as stack:
            self.witnesses = await stack.enter_async_context(witnessing(self._api, playgrounds))
            await stack.enter_async_context(background(self._fragile.supervise()))
            working = await stack.enter_async_context(background(*(load.go_on() for load in self.loads)))
            await self._call_schedule(EVERY_SECOND)
            async with background() as self._watching:
                yield
            for load in self.loads:
                load.stopping = True
            try:
                async with asyncio.timeout(QUIET):
                    await self._settle(working)
            except TimeoutError:
                self.violations.append(f"not everything had ended {QUIET:g} s after the last fault")

    async def do(self, *names: str) -> None:
        """These faults, at once; and a subscriber goes away meanwhile."""
        self.faults.update(names)
        self._random.choice(self.witnesses).cut.set()
        await asyncio.gather(*(self._do(name, Random(self._random.random())) for name in names))  # noqa: S311 - repeatable
        self._watching += [asyncio.create_task(self._watch(name)) for name in names]

    async def judge(self) -> None:
        """What does not hold is added to the violations."""
        records = self.records = await read_records(self._fragile.url)
        self.violations += violations(records, outputs=self._fragile.outputs)
        for load in self.loads:
            found = len(records.runs[key_of(load.playground)])
            if found != load.started:
                self.violations.append(f"{load.name}: {load.started} runs were asked for, and there are {found}")
            strange = set(load.refused) - {"UNAVAILABLE", "no answer"}
            if strange:
                self.violations.append(f"{load.name}: a client was told {', '.join(sorted(strange))}")
        fires = sorted(run.scheduled_for for run in records.runs[key_of(self._scheduled)])
        gaps = [f"{before} and {after}" for before, after in pairwise(fires) if after - before != timedelta(seconds=1)]
        self.violations += [f"nothing fired between {gap}" for gap in gaps]
        for witness in self.witnesses:
            self.violations += witness.faults(records.events[key_of(witness.playground)])
        self.violations += [f"a traceback in {line}" for line in self._fragile.tracebacks()]

    async def _build(self) -> None:
        for shape in self._shapes:
            name = f"{self._label}: {shape.__name__}"
            playground = await self._api.playground(name)
            await shape(self._api, playground)
            random = Random(self._random.random())  # noqa: S311 - a soak must be repeatable
            cancels = shape is cancelled
            self.loads.append(Load(name=name, api=self._api, playground=playground, random=random, cancels=cancels))
        self._scheduled = await self._api.playground(f"{self._label}: each second")
        await self._api.task(self._scheduled, "only", nap(0.05))

    async def _do(self, name: str, random: Random) -> None:
        with suppress(AssertionError, RedisError):  # two of them on one server
            await FAULTS[name](self._fragile, random)

    async def _watch(self, name: str) -> None:
        """How long after the fault the last of the runs ended that were on in it."""
        begin = monotonic()
        for load, since in [(load, load.open_since) for load in self.loads]:
            while load.open_since is not None and load.open_since == since:  # noqa: ASYNC110 - nothing is timed by it
                await asyncio.sleep(LOOK)
        self.recoveries[name] = max(self.recoveries.get(name, 0), monotonic() - begin)

    async def _settle(self, working: Sequence["asyncio.Task[None]"]) -> None:
        """Until every run has ended, a new one of each kind has gone through, and every witness knows it all."""
        await asyncio.gather(*working)
        await self._call_schedule(None)
        await self._fragile.until_well()
        await asyncio.gather(*(load.run_once() for load in self.loads))
        while self._fragile.facts("SELECT id FROM run WHERE ended_at IS NULL"):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(LOOK)
        lengths = [self._length_of(witness.playground) for witness in self.witnesses]
        await all_told(self.witnesses, lengths, seconds=QUIET)

    async def _call_schedule(self, schedule: dict[str, str] | None) -> None:
        while True:
            with suppress(*TRIES):
                await self._api.call(SCHEDULE, i={"playgroundId": self._scheduled, "schedule": schedule})
                return
            await asyncio.sleep(LOOK)

    def _length_of(self, playground: str) -> int:
        query = f"SELECT event_sequence FROM playground WHERE id = '{key_of(playground).hex}'"
        ((length,),) = self._fragile.facts(query)
        return int(length)

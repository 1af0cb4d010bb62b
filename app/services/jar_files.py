"""JARs as files of this machine: those of a local output store themselves, others in a cache by their digests."""

import asyncio
import hashlib
import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from time import time
from uuid import uuid4

from app.domain.udfs import TakenUdf, taken_of
from app.engines.base import TransientEngineError, WorkUdf
from app.models import TaskRun
from app.outputs.base import OutputStore

UNUSED_SECONDS = 7 * 24 * 3600  # a JAR of the cache that no attempt has wanted for so long makes room


class JarFiles:
    """`folder` is the cache; several processes may share it."""

    def __init__(self, *, outputs: OutputStore, folder: Path) -> None:
        self._outputs = outputs
        self._folder = folder
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def functions_of(self, task_run: TaskRun) -> tuple[WorkUdf, ...]:
        """The functions of a task run's snapshot, for its engine.

        Raises: NotFoundError; TransientEngineError where the output store cannot be read.
        """
        return tuple([await self._function(each) for each in taken_of(task_run.udfs)])

    async def path(self, location: str, sha256: str) -> Path:
        """The JAR's file; nobody may change it.

        Raises: NotFoundError, OSError.
        """
        path = await asyncio.to_thread(self._outputs.local_path, location)
        if path is not None:
            return path
        cached = self._folder / f"{sha256}.jar"
        async with self._locks[sha256]:
            if not await asyncio.to_thread(_touched, cached):
                await self._bring(location, sha256, cached)
        return cached

    async def _function(self, taken: TakenUdf) -> WorkUdf:
        try:
            jar = await self.path(taken.location, taken.jar_sha256)
        except OSError as error:
            raise TransientEngineError(
                f"The JAR of the function {taken.function_name} cannot be read: {error.strerror or error}.",
                code="STORAGE",
            ) from error
        return WorkUdf(
            function_name=taken.function_name,
            class_name=taken.class_name,
            kind=taken.kind,
            jar=jar,
            sha256=taken.jar_sha256,
            uri=self._outputs.uri(taken.location),
            parameter_types=taken.parameter_types,
            return_type=taken.return_type,
        )

    async def _bring(self, location: str, sha256: str, target: Path) -> None:
        await asyncio.to_thread(_make_room, self._folder)
        partial = self._folder / f".{uuid4().hex}"
        digest = hashlib.sha256()
        try:
            with await asyncio.to_thread(partial.open, "xb") as file:
                async for piece in self._outputs.open(location):
                    digest.update(piece)
                    await asyncio.to_thread(file.write, piece)
            if digest.hexdigest() != sha256:
                raise OSError(f"what lies at {location} is not the JAR that was uploaded")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _touched(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _make_room(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process makes room as well
            if path.stat().st_mtime < time() - UNUSED_SECONDS:
                path.unlink()

"""The drop folder edge: files that are complete become messages, and only then leave the folder.

A file stays where it is until every row and its end are durable; then it moves to `done`, or to `failed` with a reason when it is no
CSV at all. Killed at any moment and started again, the edge sends the same file again under the same identities, which the plant tells
as repeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from synchromesh.edges.agreement import Busy, Intake
from synchromesh.edges.catalogue import Catalogue
from synchromesh.edges.files.folder import DONE, FAILED, Drop, File, candidates, check, move, set_aside
from synchromesh.edges.files.message import end_message, row_message
from synchromesh.edges.files.rows import NotCsv, Row, read_rows
from synchromesh.log.agreement import LogError
from synchromesh.model.message import Message
from synchromesh.observe.lines import emit
from synchromesh.observe.names import FILE_FAILED, FILE_TAKEN, FILE_WAITS

BATCH: Final = 500
"""Rows of one append."""


class _Stopped(Exception):
    """The edge stops before a file was stored whole: it stays and is read again after the next start."""


class FileEdge:
    """An `Edge` over one drop folder.

    `interval` is the seconds between two looks, `checks` how many looks in a row must find a file unchanged before it counts as complete;
    `*.part` and hidden files are never looked at, so a writer may rename when it is done. Files are taken one after the other, oldest
    first. `clock` gives the aware time of receipt.
    """

    def __init__(self, drop: Drop, *, catalogue: Catalogue, clock: Callable[[], datetime], interval: float = 1.0, checks: int = 2) -> None:
        self._drop = drop
        self._catalogue = catalogue
        self._clock = clock
        self._interval = interval
        self._checks = checks
        self._seen: dict[File, int] = {}
        self._told: dict[Path, str] = {}
        self._stop = asyncio.Event()

    async def start(self, intake: Intake) -> None:
        """Begin to look. Raises `OSError` where the folder can't be used and `ValueError` for a wrong setting."""
        check(self._drop, self._catalogue)
        self._intake = intake
        self._task = asyncio.create_task(self._watch(), name=f"drop folder {self._drop.folder}")

    async def stop(self) -> None:
        """Finish the rows that are being stored. A file that is not finished stays and is read again after the next start."""
        self._stop.set()
        await self._task

    async def _watch(self) -> None:
        with suppress(_Stopped):
            while True:
                await self._look()
                await self._pause(self._interval)

    async def _look(self) -> None:
        """One look: take what is complete."""
        try:
            found = await asyncio.to_thread(candidates, self._drop.folder)
        except OSError as error:
            self._tell(self._drop.folder, f"the drop folder {self._drop.folder} can't be read: {error}; files wait in it")
            return
        self._told = {path: told for path, told in self._told.items() if path.exists()}
        self._seen = {file: self._seen.get(file, 0) + 1 for file in found}
        for file in found:
            if self._seen[file] >= self._checks:
                await self._take(file)

    async def _take(self, file: File) -> None:
        """Store a file and move it away; leave it where it is when it changes meanwhile or can't be read."""
        try:
            if file.size > self._drop.max_bytes:
                raise NotCsv(f"the file has {file.size:,} bytes, more than {self._drop.max_bytes:,}; split it")
            rows = await self._store(file)
            if await asyncio.to_thread(file.unchanged):
                await self._accept([end_message(self._drop, self._catalogue, file, self._clock())])
                await asyncio.to_thread(move, file.path, self._drop.folder / DONE)
                emit(FILE_TAKEN, plant=self._drop.plant, file=file.name, rows=rows)
        except NotCsv as error:
            emit(FILE_FAILED, plant=self._drop.plant, file=file.name, error=str(error))
            await self._fail(file, str(error))
        except OSError as error:
            self._tell(file.path, f"the file {file.path} can't be read or moved: {error}; it waits where it is")

    async def _fail(self, file: File, reason: str) -> None:
        try:
            await asyncio.to_thread(set_aside, file.path, self._drop.folder / FAILED, reason)
        except OSError as error:
            self._tell(file.path, f"the file {file.path} can't be moved to {FAILED}: {error}; it waits where it is")

    async def _store(self, file: File) -> int:
        """Store every row, in order; how many there were."""
        count = 0
        opened = await asyncio.to_thread(file.path.open, "rb")
        try:
            rows = read_rows(opened, self._drop.delimiter, self._drop.encoding)
            while batch := await asyncio.to_thread(_some, rows):
                received = self._clock()
                await self._accept([row_message(self._drop, self._catalogue, file, row, received) for row in batch])
                count += len(batch)
        finally:
            await asyncio.to_thread(opened.close)
        return count

    async def _accept(self, messages: Sequence[Message]) -> None:
        """Store messages, trying again as long as the log can't. Raises `_Stopped` when the edge stops before."""
        while not self._stop.is_set():
            try:
                await self._intake.accept(messages)
            except Busy as busy:
                await self._pause(busy.retry_after)
            except LogError as error:
                self._tell(self._drop.folder, f"nothing more of {self._drop.folder} can be stored: {error}; trying again")
                await self._pause(self._interval)
            else:
                self._told.pop(self._drop.folder, None)
                return
        raise _Stopped

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the edge stops; then raise `_Stopped`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        if self._stop.is_set():
            raise _Stopped

    def _tell(self, path: Path, sentence: str) -> None:
        """Say what is wrong once, not at every look."""
        if self._told.get(path) != sentence:
            self._told[path] = sentence
            emit(FILE_WAITS, plant=self._drop.plant, file=path.name, error=sentence)


def _some(rows: Iterator[Row]) -> list[Row]:
    return list(islice(rows, BATCH))

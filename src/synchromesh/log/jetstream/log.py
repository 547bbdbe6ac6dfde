"""The log on JetStream as its callers hold it: synchronous, for any number of threads, over one line to the servers."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from synchromesh.log.agreement import LogAway, LogError, Place, Version, known_only
from synchromesh.log.archive import ARCHIVE
from synchromesh.log.encoding import encode
from synchromesh.log.fairness import shares
from synchromesh.log.jetstream.access import Access, Options
from synchromesh.log.jetstream.connection import Connection, LoopThread, Refused, Unanswered
from synchromesh.log.jetstream.frame import token
from synchromesh.log.jetstream.reader import READ_SECONDS, Frame, Reader, Wanted, trimmed
from synchromesh.log.jetstream.stream import SCHEMA, find, seen
from synchromesh.log.jetstream.tail import Tail, has_news
from synchromesh.log.jetstream.trimmer import Trimmer
from synchromesh.log.jetstream.writer import Writer
from synchromesh.model.message import Message, Record
from synchromesh.sqlite.lock import WriterLock

READ_BYTES: Final = 1_500_000
"""How many bytes of messages one `read` returns at most, apart from the first message of each partition."""

_T = TypeVar("_T")


class JetStreamLog:
    """The log of one installation. Safe for threads and processes; not for use across a fork.

    Every call ends within about `patience` seconds, also when no server answers: `read` within two, `wait` within its own time. An append
    that the servers did not answer in time may have been stored; its error says so.
    """

    def __init__(self, address: str, folder: Path, archive: Path | None = None, options: Options | None = None) -> None:
        self._access = Access.of(address, options or Options())
        self._folder = folder
        self._archive = archive or folder / ARCHIVE
        self._closing = threading.Lock()
        self._closed = False
        self._thread = LoopThread()
        self._trimming: WriterLock | None = None
        try:
            self._thread.call(self._open())
        except BaseException:
            self.close()
            raise

    async def _open(self) -> None:
        """Connect, check the servers and the stream, and learn where every partition ends. Raises `LogError`; nothing was written then."""
        with _in_words("opening the log", self._access.name):
            deadline = asyncio.get_running_loop().time() + self._access.options.patience
            self._connection = Connection(self._access, self._interrupted, self._interrupted)
            await self._connection.open()
            self._stream = await find(self._connection, self._access, self._folder, deadline)
            self._tail = Tail(self._connection, self._access, self._stream)
            await self._tail.open(deadline)
            self._writer = Writer(self._connection, self._access, self._stream, self._tail)
            self._reader = Reader(self._connection, self._access, self._stream, self._tail)

    def _interrupted(self) -> None:
        if (tail := getattr(self, "_tail", None)) is not None:
            tail.interrupted()

    def append(self, messages: Sequence[Message]) -> list[int]:
        """As agreed. Waiting appends of several threads are stored together."""
        bodies: dict[str, list[bytes]] = {}
        places: list[tuple[str, int]] = []
        for message in messages:
            body = encode(message)
            if (mates := bodies.get(message.partition)) is None:
                token(message.partition)
                mates = bodies[message.partition] = []
            places.append((message.partition, len(mates)))
            mates.append(body)
        if not messages:
            return []
        self._check_writable("appending to the log")
        firsts = self._call("appending to the log", lambda: self._writer.append(bodies))
        return [firsts[partition] + index for partition, index in places]

    def read(self, after: Mapping[str, int], limit: int) -> dict[str, list[Record]]:
        frames, wanted = self._call("reading the log", lambda: self._frames(after, limit))
        return {partition: _records(each, wanted[partition]) for partition, each in frames.items()}

    async def _frames(self, after: Mapping[str, int], limit: int) -> tuple[dict[str, list[Frame]], dict[str, Wanted]]:
        await self._tail.current(asyncio.get_running_loop().time() + min(READ_SECONDS, self._access.options.patience))
        counts: dict[str, int] = {}
        for partition, position in after.items():
            line = self._tail.line(partition)
            if position < line.trimmed:
                raise trimmed(partition, position, line.trimmed)
            counts[partition] = line.head - position
        share = {partition: count for partition, count in shares(counts, limit).items() if count}
        wanted = {partition: Wanted(after[partition], count, READ_BYTES // len(share)) for partition, count in share.items()}
        return (await self._reader.frames(wanted) if wanted else {}), wanted

    def head(self) -> dict[str, int]:
        """As agreed: whatever any process was told to be stored before this call is counted."""

        async def fresh() -> dict[str, int]:
            await self._tail.fresh(asyncio.get_running_loop().time() + self._access.options.patience)
            return dict(self._tail.heads)

        return self._call("reading the log", fresh)

    def wait(self, after: Mapping[str, int], timeout: float) -> bool:
        """As agreed. The servers tell of news; nothing is asked meanwhile."""
        with self._tail.news:
            return self._tail.news.wait_for(has_news(self._tail.heads, after), timeout)

    def trim(self, partition: str, through: int) -> None:
        """As agreed, segment by segment."""
        self._check_writable("trimming the log")
        with self._archiving():
            self._trimmer("trimming the log").trim(partition, through)

    def resume(self, partition: str, after: int, chain: str) -> None:
        self._check_writable("moving a partition here")
        self._trimmer("moving a partition here").resume(partition, after, chain)

    def _check_writable(self, doing: str) -> None:
        if self._stream.mirror:
            raise LogError(f"{doing}: {self._access.name} is a mirror, which is only read; nothing was changed; leave `mirror` out")

    def _trimmer(self, doing: str) -> Trimmer:
        def call(coroutine: Awaitable[_T]) -> _T:
            return self._call(doing, lambda: coroutine)

        return Trimmer(call, self._connection, self._access, self._stream, self._tail, self._reader, self._archive)

    def id(self) -> str:
        return self._stream.id

    def chain(self, partition: str) -> str:

        async def fresh() -> str:
            await self._tail.fresh(asyncio.get_running_loop().time() + self._access.options.patience)
            return self._tail.line(partition).chain

        return self._call("reading the log", fresh)

    @contextmanager
    def _archiving(self) -> Iterator[None]:
        """One trims at a time into this folder, whichever process it is."""
        try:
            with self._closing:
                if self._trimming is None:
                    self._trimming = WriterLock(self._folder / "log.trim-lock")
            with self._trimming:
                yield
        except OSError as error:
            raise LogError(
                f"trimming the log: {self._archive}: {error.strerror or error}; what was not archived is still in the log; "
                "make sure that the folder can be written and has room"
            ) from error

    def _call(self, doing: str, make: Callable[[], Awaitable[_T]]) -> _T:
        """Have a coroutine run in the loop. Raises the agreement's exceptions only."""
        if self._closed:
            raise LogError(f"{doing}: {self._access.name}: this log was closed")

        async def run() -> _T:
            with _in_words(doing, self._access.name):
                return await make()

        return self._thread.call(run())

    def close(self) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
        if (connection := getattr(self, "_connection", None)) is not None:
            self._thread.call(connection.close())
        self._thread.close()
        if self._trimming is not None:
            self._trimming.close()


def _records(frames: Sequence[Frame], wanted: Wanted) -> list[Record]:
    """The wanted messages as far as their bytes allow, at least one."""
    room = wanted.room
    records: list[Record] = []
    for frame in frames:
        for position, message in enumerate(frame.messages(), frame.spot.first):
            if position <= wanted.after:
                continue
            room -= len(message.body)
            if position > wanted.last or (room < 0 and records):
                return records
            records.append(Record(position, message))
    return records


@contextmanager
def _in_words(doing: str, place: str) -> Iterator[None]:
    """Turn what the servers say, or that they say nothing, into the agreement's exceptions."""
    try:
        yield
    except Refused as refused:
        raise LogError(f"{doing}: {place}: {refused} (error {refused.code}); nothing was changed") from refused
    except Unanswered as unanswered:
        raise LogAway(
            f"{doing}: {place}: no answer ({unanswered}); check that a majority of the servers runs and can be reached"
        ) from unanswered


def open_log(place: Place) -> JetStreamLog:
    """The log in the stream that the place names, made where this installation never had one.

    Raises `LogAway` when no server can be reached, `LogError` when the servers or the stream can't hold this log, `ValueError` for
    settings that it does not know.
    """
    return JetStreamLog(place.address, place.folder, place.archive, _options(place))


def version_of(place: Place) -> Version:
    """Of which version the stream is; nothing is changed. Raises as `open_log` does."""
    access = Access.of(place.address, _options(place))
    thread = LoopThread()

    async def asked() -> bool:
        deadline = asyncio.get_running_loop().time() + access.options.patience
        connection = Connection(access, lambda: None, lambda: None)
        try:
            await connection.open()
            return await seen(connection, access, place.folder, deadline) is not None
        finally:
            await connection.close()

    try:
        with _in_words("opening the log", access.name):
            there = thread.call(asked())
    finally:
        thread.close()
    return Version(access.name, SCHEMA if there else "", SCHEMA, due=not there)


def _options(place: Place) -> Options:
    known_only(place, *Options.__struct_fields__)
    named = {"stream": re.sub("[^A-Za-z0-9_-]", "-", place.installation).upper(), **place.more}
    try:
        return msgspec.convert(named, Options)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error

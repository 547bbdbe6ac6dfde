"""The archive of a log: messages that were trimmed, in compressed segments that are chained by their hashes.

A segment is a gzip file `<first>-<last>.log.gz` in the partition's folder. Inside: one line of JSON (the `Segment`), then each
message in its stored form behind its length in four bytes, big end first. `previous` is the SHA-256 of the whole file before it, ''
for the first; so whoever changes, removes or swaps a segment breaks the chain at a place that `read_archive` names.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from synchromesh.log.agreement import LogCorrupt
from synchromesh.log.encoding import decode
from synchromesh.model.message import Record
from synchromesh.sqlite.database import publish, sync_directory

ARCHIVE: Final = "archive"
"""The folder's name beside the log's file."""
_SUFFIX: Final = ".log.gz"
_DIGITS: Final = 13
"""As many as the highest position has, so that names sort as positions do."""
_CHUNK: Final = 1024 * 1024
_LONGEST_HEADER: Final = 4096


class Segment(msgspec.Struct, frozen=True):
    """What a segment holds: the positions `first` through `last` of a partition, after the file whose SHA-256 is `previous`."""

    partition: str
    first: int
    last: int
    previous: str


def write_segment(archive: Path, segment: Segment, bodies: Iterable[bytes]) -> str:
    """Write a segment so that it is either there, complete and durable, or not at all; return its SHA-256.

    Raises `OSError`; nothing is in the archive then.
    """
    folder = _folder(archive, segment.partition)
    for directory in (archive, folder):
        if not directory.exists():
            directory.mkdir()
            sync_directory(directory.parent)
    provisional = folder / f"segment{_SUFFIX}.new"
    # Without a name and a time inside, the same messages always make the same file.
    with provisional.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(msgspec.json.encode(segment) + b"\n")
        for body in bodies:
            packed.write(len(body).to_bytes(4, "big") + body)
    digest = _digest(provisional)
    publish(provisional, folder / f"{segment.first:0{_DIGITS}d}-{segment.last:0{_DIGITS}d}{_SUFFIX}")
    return digest


def discard_unfinished(archive: Path, partition: str, trimmed: int) -> None:
    """Remove what an interrupted trim left: segments behind `trimmed`, whose messages are all still in the log."""
    for path in _files(archive, partition):
        if _first(path) > trimmed:
            path.unlink()


def holds(archive: Path, partition: str, last: int) -> bool:
    """Whether the archive has the segment that ends with a position."""
    return any(path.name.endswith(f"-{last:0{_DIGITS}d}{_SUFFIX}") for path in _files(archive, partition))


def read_archive(archive: Path, partition: str, chain: str | None = None) -> Iterator[Record]:
    """All archived messages of a partition in order, verifying the chain on the way.

    `chain` is the SHA-256 that the last segment must have, when the caller knows it (`SqliteLog.chain`). Raises `LogCorrupt` naming
    the first segment that does not follow from the one before it, before any message of that segment is given.
    """
    previous, last = "", 0
    for path in _files(archive, partition):
        digest = _digest(path)
        segment = _header(path)
        if segment != Segment(partition, last + 1, segment.last, previous) or not _named_as_it_says(path, segment):
            raise LogCorrupt(
                f"{path}: the chain breaks here: expected position {last + 1} after the segment with SHA-256 {previous or '(none)'}, found "
                f"position {segment.first} after {segment.previous or '(none)'}; restore this segment and the one before it from a backup"
            )
        yield from _records(path, segment)
        previous, last = digest, segment.last
    if chain is not None and previous != chain:
        raise LogCorrupt(
            f"{_folder(archive, partition)}: the log says that the last segment has SHA-256 {chain or '(none)'}, the archive ends at "
            f"position {last} with {previous or '(none)'}; restore the missing or changed last segment from a backup"
        )


def _records(path: Path, segment: Segment) -> Iterator[Record]:
    try:
        with gzip.open(path, "rb") as file:
            file.readline(_LONGEST_HEADER)
            for position in range(segment.first, segment.last + 1):
                yield Record(position, decode(_exactly(file, int.from_bytes(_exactly(file, 4), "big"))))
            if file.read(1):
                raise LogCorrupt(f"{path}: the segment goes on behind its last message; restore it from a backup")
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise _unreadable(path, error) from error


def _header(path: Path) -> Segment:
    try:
        with gzip.open(path, "rb") as file:
            return msgspec.json.decode(file.readline(_LONGEST_HEADER), type=Segment)
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> LogCorrupt:
    return LogCorrupt(f"{path}: the chain breaks here: the segment can't be read ({error}); restore it from a backup")


def _exactly(file: gzip.GzipFile, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("it ends before its last message")
    return data


def _named_as_it_says(path: Path, segment: Segment) -> bool:
    return path.name == f"{segment.first:0{_DIGITS}d}-{segment.last:0{_DIGITS}d}{_SUFFIX}"


def _files(archive: Path, partition: str) -> list[Path]:
    return sorted(_folder(archive, partition).glob(f"*{_SUFFIX}"))


def _first(path: Path) -> int:
    return int(path.name.split("-")[0])


def _folder(archive: Path, partition: str) -> Path:
    """A partition's name is foreign text: it may not lead out of the archive."""
    return archive / quote(partition, safe="").replace(".", "%2E")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

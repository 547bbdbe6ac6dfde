"""The archive of a log: messages that were trimmed, in compressed segments that are chained by their hashes.

A segment is a gzip file `<first>-<last>.log.gz` in the partition's folder. Inside: one line of JSON (the `Segment`), then each
message in its stored form behind its length in four bytes, big end first. `previous` is the SHA-256 of the whole file before it, ''
for the first; so whoever changes, removes or swaps a segment breaks the chain at a place that `read_archive` names.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from synchromesh.log.agreement import LogCorrupt
from synchromesh.log.encoding import decode
from synchromesh.model.message import Record
from synchromesh.sqlite.database import publish, sync

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
    _made(archive, folder)
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


class Kept(NamedTuple):
    """One segment of an archive: its file, what it says that it holds, and the SHA-256 of the whole file."""

    path: Path
    segment: Segment
    digest: str


def segments(archive: Path, partition: str) -> Iterator[Kept]:
    """A partition's segments in order. Raises `LogCorrupt` naming the first one that does not follow from the one before it, before that
    segment is given."""
    previous, last = "", 0
    for path in _files(archive, partition):
        digest = _digest(path)
        segment = _header(path)
        if segment != Segment(partition, last + 1, segment.last, previous) or not _named_as_it_says(path, segment):
            raise LogCorrupt(
                f"{path}: the chain breaks here: expected position {last + 1} after the segment with SHA-256 {previous or '(none)'}, found "
                f"position {segment.first} after {segment.previous or '(none)'}; restore this segment and the one before it from a backup"
            )
        yield Kept(path, segment, digest)
        previous, last = digest, segment.last


def segments_through(archive: Path, partition: str, chain: str) -> Iterator[Kept]:
    """The segments through the one whose SHA-256 is `chain`, which a log knows as its last; none for ''. What stands behind it is not
    looked at: it may be of a trim that goes on. Raises `LogCorrupt` where the archive does not have it."""
    last = 0
    for kept in segments(archive, partition) if chain else ():
        yield kept
        last = kept.segment.last
        if kept.digest == chain:
            return
    if chain:
        raise LogCorrupt(
            f"{_folder(archive, partition)}: the log says that a segment has SHA-256 {chain}, and the archive ends at position {last} "
            "without it; restore the missing or changed segments from a backup"
        )


def read_archive(archive: Path, partition: str, chain: str | None = None, after: int = 0) -> Iterator[Record]:
    """All archived messages of a partition in order, from the segment that has the one behind `after`, verifying the chain on the way.

    `chain` is the SHA-256 that the last segment must have, when the caller knows it (`Log.chain`). Raises `LogCorrupt` naming
    the first segment that does not follow from the one before it, before any message of that segment is given.
    """
    previous, last = "", 0
    for kept in segments(archive, partition):
        previous, last = kept.digest, kept.segment.last
        if last > after:
            yield from _records(kept.path, kept.segment)
    if chain is not None and previous != chain:
        raise LogCorrupt(
            f"{_folder(archive, partition)}: the log says that the last segment has SHA-256 {chain or '(none)'}, the archive ends at "
            f"position {last} with {previous or '(none)'}; restore the missing or changed last segment from a backup"
        )


def copy_segment(kept: Kept, archive: Path) -> None:
    """Put a segment into another archive, complete and durable or not at all. One that is there already stays. Raises `OSError`, and
    `LogCorrupt` where another file has its name."""
    folder = _folder(archive, kept.segment.partition)
    target = folder / kept.path.name
    if target.exists():
        if _digest(target) != kept.digest:
            raise LogCorrupt(f"{target} is there already and is not the segment of {kept.path}: this archive is of another log")
        return
    _made(archive, folder)
    provisional = folder / f"segment{_SUFFIX}.new"
    shutil.copyfile(kept.path, provisional)
    publish(provisional, target)


def _made(archive: Path, folder: Path) -> None:
    """Make sure that an archive and a partition's folder in it are there."""
    for directory in (archive, folder):
        if not directory.exists():
            directory.mkdir()
            sync(directory.parent)


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

"""What a backup says of itself: which positions it has, what the state was there, and the checksum of each of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.engine.activation import is_copy
from synchromesh.log.agreement import LogCorrupt, LogError
from synchromesh.log.archive import read_archive, segments_through
from synchromesh.log.carrying import History
from synchromesh.model.message import Message, Record
from synchromesh.model.posting import Aware

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
ARCHIVE: Final = "archive"
FORWARDS: Final = "forwards.msgpack"
"""What partitions had still to forward to each other at the state's positions."""

_CHUNK: Final = 1024 * 1024


class Kept(msgspec.Struct, frozen=True):
    """One partition in a backup. The log is there through `head`, in segments of which the last has the SHA-256 `end`; `trimmed` and
    `chain` say the same of what the installation itself had archived. The state stood at `position`, and its rows had the `fingerprint`."""

    trimmed: int
    chain: str
    head: int
    end: str
    position: int
    fingerprint: str


class File(msgspec.Struct, frozen=True):
    """One file of a backup."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """A whole backup. `log` is the id of the log that it was made of, `settings` the file that configured it, which is not part of it: it
    may hold secrets. `synchromesh` is the version of the program."""

    format: int
    synchromesh: str
    made: Aware
    installation: str
    log: str
    settings: dict[str, str]
    partitions: dict[str, Kept]
    files: dict[str, File]

    @property
    def name(self) -> str:
        """What tells this backup from every other one."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


_forwards: Final = msgspec.msgpack.Decoder(list[tuple[str, Message]])


def file_of(path: Path) -> File:
    """Size and checksum of a file. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return File(path.stat().st_size, digest.hexdigest())


def files_of(folder: Path) -> dict[str, File]:
    """Every file of a backup but the manifest, by its path in it."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST)
    return {str(path.relative_to(folder)): file_of(path) for path in paths}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup. Raises `LogError` where there is none, or one of a newer program."""
    try:
        text = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(text, type=Manifest)
    except FileNotFoundError as error:
        raise LogError(f"{folder} is no backup: it has no {MANIFEST}") from error
    except msgspec.DecodeError as error:
        raise LogCorrupt(f"{folder / MANIFEST} can't be read ({error}); use another backup") from error
    if manifest.format != FORMAT:
        raise LogError(f"{folder} has format {manifest.format}, and this program knows format {FORMAT}; use the program that wrote it")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise `LogCorrupt` naming the first file that is not as the manifest says."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise LogCorrupt(f"{path} is missing from the backup; use another one")
        if file_of(path) != expected:
            raise LogCorrupt(f"{path} is not the file that was backed up; use another backup")


def forwards_of(folder: Path) -> dict[str, list[Message]]:
    """What each partition had still to forward."""
    found: dict[str, list[Message]] = {}
    for partition, message in _forwards.decode((folder / FORWARDS).read_bytes()):
        found.setdefault(partition, []).append(message)
    return found


def copied_history(folder: Path, manifest: Manifest, partition: str) -> History:
    """A partition of a backup, with one message more than was backed up: that from here on this is a copy."""
    kept, archive = manifest.partitions[partition], folder / ARCHIVE

    def behind(position: int) -> Iterator[Record]:
        for record in read_archive(archive, partition, kept.end, after=position):
            if record.position > position:
                yield record
        yield _mark(partition, manifest.name, kept.head, manifest.made)

    return History(partition, kept.trimmed, kept.chain, kept.head + 1, lambda: segments_through(archive, partition, kept.chain), behind)


def _mark(partition: str, name: str, head: int, made: datetime) -> Record:
    return Record(head + 1, is_copy(partition, name, head, made))

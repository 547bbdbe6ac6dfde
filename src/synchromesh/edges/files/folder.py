"""A drop folder on disk: its settings, what may be taken from it, and where a file goes when it is finished."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.edges.catalogue import Catalogue

DONE: Final = "done"
FAILED: Final = "failed"


class Drop(msgspec.Struct, frozen=True):
    """A folder that a plant's source drops files into. `encoding` is one in which line ends, quotes and the delimiter are single bytes."""

    folder: Path
    plant: str
    interface: str
    delimiter: str = ","
    encoding: str = "utf-8"
    max_bytes: int = 4_000_000_000
    """The largest file that is read; a larger one fails with a reason."""


class File(msgspec.Struct, frozen=True):
    """A file in one state: another size or time of change is another file. `modified` is in nanoseconds."""

    path: Path
    size: int
    modified: int

    @property
    def name(self) -> str:
        """The file's name as text, whatever its bytes."""
        return os.fsencode(self.path.name).decode("utf-8", "replace")

    @property
    def id(self) -> str:
        """What messages about this file are identified by: the same after every restart."""
        digest = hashlib.sha256(os.fsencode(self.path.name) + f"\0{self.size}\0{self.modified}".encode())
        return f"file:{digest.hexdigest()[:32]}"

    def unchanged(self) -> bool:
        """Whether the file is still what it was. Raises `OSError` when it can't be seen."""
        known = self.path.lstat()
        return stat.S_ISREG(known.st_mode) and (known.st_size, known.st_mtime_ns) == (self.size, self.modified)


def check(drop: Drop, catalogue: Catalogue) -> None:
    """Refuse settings that can't work (`ValueError`) and folders that can't be used (`OSError`); make the folders for what is finished."""
    if len(drop.delimiter) != 1 or drop.delimiter in '"\r\n' or not drop.delimiter.isascii():
        raise ValueError(f"the delimiter {drop.delimiter!r} of {drop.folder} is not one character; set ',', ';' or '\\t'")
    if not _is_plain(drop.encoding, "\n\"" + drop.delimiter):  # fmt: skip
        raise ValueError(f"the encoding {drop.encoding!r} of {drop.folder} can't be read; set 'utf-8', 'cp1252' or 'iso8859-15'")
    if drop.plant not in catalogue.plants or not catalogue.accepts(drop.plant, drop.interface):
        raise ValueError(
            f"the plant {drop.plant!r} has no interface {drop.interface!r} for the drop folder {drop.folder}; see its adapters"
        )
    if not drop.folder.is_dir():
        raise FileNotFoundError(f"the drop folder {drop.folder} is missing; make it, or correct the setting")
    for name in (DONE, FAILED):
        try:
            (drop.folder / name).mkdir(exist_ok=True)
        except OSError as error:
            raise OSError(
                error.errno, f"the folder {drop.folder / name} can't be made: {error.strerror}; let this user write there"
            ) from error
    for folder in (drop.folder, drop.folder / DONE, drop.folder / FAILED):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(
                f"the folder {folder} can't be read and written by this user; files could not be moved when they are done"
            )


def _is_plain(encoding: str, characters: str) -> bool:
    """Whether the encoding is known and writes these characters as ASCII does."""
    try:
        return characters.encode(encoding) == characters.encode("ascii")
    except (LookupError, UnicodeError):
        return False


def candidates(folder: Path) -> list[File]:
    """Files that may be taken, oldest first; no hidden ones, no `*.part`, no links."""
    found: list[File] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(".part") or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError):
                known = entry.stat(follow_symlinks=False)
                found.append(File(Path(entry.path), known.st_size, known.st_mtime_ns))
    return sorted(found, key=lambda file: (file.modified, file.path))


def move(path: Path, folder: Path) -> None:
    """Move a file, keeping an earlier one of its name."""
    path.rename(_free(path, folder))


def set_aside(path: Path, folder: Path, reason: str) -> None:
    """Move a file with the reason beside it; the reason first, so that no file is ever there without."""
    target = _free(path, folder)
    target.with_name(f"{target.name}.reason.txt").write_text(reason + "\n", encoding="utf-8", errors="replace")
    path.rename(target)


def _free(path: Path, folder: Path) -> Path:
    """Where the file can go: its own name, or with a number when that is taken."""
    target, number = folder / path.name, 1
    while target.exists():
        number += 1
        target = folder / f"{path.stem}.{number}{path.suffix}"
    return target

"""Rows of a CSV file, one at a time and each on its own: what is wrong with one row never costs another.

A row that can't be read as text is given with its bytes and a sentence instead of its values, so that it can end as an exception. Only
a file whose first line is no header is refused whole.
"""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

MAX_ROW: Final = 100_000
"""Bytes of one row, its line ends included."""

LINE: Final = "_line"
"""The name under which a row carries its number among the rows of its file."""

FILE: Final = "_file"
"""The name under which a row carries the name of its file."""

_SHOWN: Final = 2_000
_BOM: Final = b"\xef\xbb\xbf"


class NotCsv(ValueError):
    """The file as a whole can't be read as rows. The text says why and what to do."""


class Row(msgspec.Struct, frozen=True):
    """One row. `number` counts rows from 1, empty lines and the header left out. `cells` is None when it can't be read; then `problem` says
    why, and `raw` is the row as it came, cut where it is longer than a row may be."""

    number: int
    cells: dict[str, str] | None
    raw: bytes
    problem: str = ""


class _TooLong(Exception):
    """A row goes on beyond `MAX_ROW`."""


class _Lines:
    """The lines of a file as text, with the bytes of those taken since `begin` and a way to give them back."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self._returned: deque[bytes] = deque()
        self.taken: list[bytes] = []
        self._size = 0

    def begin(self) -> None:
        self.taken = []
        self._size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._returned.popleft() if self._returned else self._file.readline(MAX_ROW + 1)
        if not raw:
            raise StopIteration
        self.taken.append(raw)
        self._size += len(raw)
        if self._size > MAX_ROW:
            raise _TooLong
        return raw.decode(self._encoding, "surrogateescape")

    def keep_first(self) -> None:
        """Give back all lines but the first: they may be rows of their own. The rest of a first line that is too long is skipped."""
        self._returned.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]
        if len(self.taken[0]) > MAX_ROW:
            last = self.taken[0]
            while last and not last.endswith(b"\n"):
                last = self._file.readline(MAX_ROW)
            self.taken[0] = self.taken[0][:_SHOWN]


def read_rows(file: BinaryIO, delimiter: str, encoding: str) -> Iterator[Row]:
    """The rows behind the header, in order, holding one at a time. Raises `NotCsv` before the first row, never later."""
    lines = _Lines(file, encoding)
    header = _header(lines, delimiter)
    number = 0
    while True:
        lines.begin()
        try:
            cells, problem = next(csv.reader(lines, delimiter=delimiter, strict=True)), ""
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            lines.keep_first()
            cells = None
            problem = str(error) or f"the row, or a quoted value that begins in it, is longer than {MAX_ROW:,} bytes"
        if cells == []:
            continue
        number += 1
        raw = b"".join(lines.taken)
        problem = problem or _problem(cells or [], raw, len(header))
        yield Row(number, None if problem or cells is None else dict(zip(header, cells, strict=True)), raw, problem)


def _problem(cells: list[str], raw: bytes, columns: int) -> str:
    """What keeps readable cells from being the row's values, '' when nothing does."""
    if not _is_text(cells, raw):
        return "the row has bytes that are no text in the file's encoding"
    if len(cells) != columns:
        return f"the row has {len(cells)} values where the header names {columns}"
    return ""


def _is_text(cells: list[str], raw: bytes) -> bool:
    """Whether every byte was a character, and none the character NUL that no text has."""
    if raw.isascii():
        return b"\0" not in raw
    try:
        return b"\0" not in "".join(cells).encode()
    except UnicodeEncodeError:
        return False


def _header(lines: _Lines, delimiter: str) -> list[str]:
    try:
        header = next(csv.reader(_without_bom(lines), delimiter=delimiter, strict=True))
    except StopIteration:
        raise NotCsv("the file is empty; its first line must name the columns") from None
    except (csv.Error, _TooLong) as error:
        raise NotCsv(f"the first line is no header of CSV: {error or 'it is too long'}; save the file as CSV in UTF-8") from None
    if not any(name.strip() for name in header):
        raise NotCsv("the first line is empty; it must name the columns")
    if not _is_text(header, b"".join(lines.taken)) or not all(name.isprintable() for name in header):
        raise NotCsv("the first line is no text; save the file as CSV in the encoding that the settings name")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise NotCsv(f"the header names {twice[0]!r} twice; give every column its own name")
    for kept, what in ((LINE, "the row's number"), (FILE, "the file's name")):
        if kept in header:
            raise NotCsv(f"the header names {kept!r}, which is kept for {what}; rename that column")
    return header


def _without_bom(lines: _Lines) -> Iterator[str]:
    """The lines, the first without the mark that some programs put before UTF-8."""
    for line in lines:
        yield line.removeprefix(_BOM.decode()) if lines.taken[0] is lines.taken[-1] else line

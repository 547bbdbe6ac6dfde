"""What is wrong with a configuration file, each with its place: file, line, table, key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import msgspec

Place = tuple[str | int, ...]
"""Where a value stands: ('plant', 0, 'policy', 'gather')."""


class Fault(msgspec.Struct, frozen=True):
    """One wrong key or value. `line` is 0 when it can't be told."""

    file: str
    line: int
    where: str
    sentence: str

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}: {self.where}: {self.sentence}" if self.where else f"{self.file}{line}: {self.sentence}"


class SettingsError(ValueError):
    """A configuration can't be used; `faults` are all the reasons, in the order of the file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        super().__init__("\n".join(map(str, self.faults)))


def nearest(wrong: str, known: Sequence[str]) -> str:
    """The end of a sentence about a wrong name: the nearest right one, or all of them."""
    close = get_close_matches(wrong.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(sorted(known))}" if known else "there is none"


def where(place: Place) -> str:
    """A place in the words of the file: '[plant.policy] gather'. Which plant, the line tells."""
    names = [part for part in place if isinstance(part, str)]
    if len(names) < 2 or isinstance(place[-1], int):
        return f"[{'.'.join(names)}]" if names else ""
    return f"[{'.'.join(names[:-1])}] {names[-1]}"


_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY: Final = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")


class Lines:
    """On which line of a TOML file each table and key stands. The parser of the standard library doesn't tell.

    It reads what people write: tables, arrays of tables, keys, dotted keys; what stands inside an inline value has its line.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[Place, int] = {}
        self._arrays: dict[Place, int] = {}
        table: Place = ()
        inside = ""
        for number, line in enumerate(text.splitlines(), 1):
            if not inside:
                if header := _HEADER.match(line):
                    table = self._enter(header[1] == "[[", _parts(header[2]))
                    self._lines[table] = number
                elif key := _KEY.match(line):
                    self._note(table + _parts(key[1]), number)
            inside = _open_string(line, inside)

    def of(self, place: Place) -> int:
        """The line of a place, or of the nearest thing that holds it; 0 for none."""
        for length in range(len(place), 0, -1):
            if line := self._lines.get(place[:length]):
                return line
        return 0

    def _enter(self, array: bool, names: Place) -> Place:
        place: Place = ()
        for name in names[:-1]:
            place = self._latest((*place, name))
        place = (*place, names[-1])
        if array:
            self._arrays[place] = self._arrays.get(place, -1) + 1
        return self._latest(place)

    def _latest(self, place: Place) -> Place:
        return (*place, self._arrays[place]) if place in self._arrays else place

    def _note(self, place: Place, number: int) -> None:
        for length in range(1, len(place) + 1):
            self._lines.setdefault(place[:length], number)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", dotted))


def _open_string(line: str, inside: str) -> str:
    """Which kind of multi-line string is open after this line: its quotes, or ''."""
    for found in re.findall(r"\"\"\"|'''", line):
        if not inside:
            inside = found
        elif inside == found:
            inside = ""
    return inside


def shown(path: Path) -> str:
    """A path as a person would type it: relative where it is below the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)

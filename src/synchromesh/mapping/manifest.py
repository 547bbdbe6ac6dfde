"""An adapter as data: the manifest's words, and reading them from a folder with its templates and code lists.

A folder holds `adapter.toml`, `codes/NAME.csv` (columns code,value) and `samples/`. With `extends = "../base"` it starts from another
folder's manifest and lists: tables are merged key by key (so a site names only what differs), everything else is replaced.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from synchromesh.mapping.refusal import ManifestError
from synchromesh.mapping.zone import Ambiguous, Nonexistent

MANIFEST: Final = "adapter.toml"
TOLD_BY_EDGES: Final = ("_line", "_file")
"""What an edge adds to the row of a file: how it came, not what it says."""
_MAX_FILE: Final = 4_000_000
_MAX_TEMPLATES: Final = 5
_DURATION: Final = re.compile(r"(\d{1,5})\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Fields = dict[str, object]
"""For each field of an event: an expression, a list of expressions, a table for a struct within it, or a list of such tables."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one payload may cost."""

    bytes: Annotated[int, Meta(ge=1, le=10_000_000)] = 65_536
    """Largest payload."""
    events: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    """Longest list that a rule's `each` may go through."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one kind of message becomes: exactly one of `event`, `record` and `refuse`.

    Rules that refuse or record are asked first, in their order, and the first that fits decides alone. Of the others every one that fits
    adds its event; if none does the message is refused.
    """

    when: str = "True"
    """Condition over `row`; in a rule with a list also over `each`, an element. One that reads no `each` is asked before the list is."""
    event: str = ""
    """Type of the canonical event, such as production.reported."""
    fields: Fields = {}
    """Expression for each field of the event. One that yields nothing leaves the field out."""
    each: str = ""
    """Path of a list in the payload: one event for every element, which is called `each`."""
    record: str = ""
    """The message is only recorded, for this stated reason."""
    refuse: str = ""
    """The message is an exception, with this sentence."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An adapter's manifest, after its templates."""

    name: Identifier
    """Name of the interface; with the version it is what a message names: `name/version`."""
    version: Identifier
    """Changes when payloads of before can't be read any more."""
    owner: Annotated[str, Meta(min_length=1)]
    """Who answers for this interface."""
    source: Identifier
    """System that sends: identities are unique within it."""
    format: Literal["json", "csv"]
    """json: a payload is an object. csv: a payload is the object of one row, all values texts, with the number of the row as
    `_line` and the name of its file as `_file`."""
    identity: str
    """Expression for the message's own identity."""
    horizon: str
    """How long a repeat may come after its first telling: a duration such as 7d, or forever."""
    rules: dict[str, Rule]
    """The rules by name."""
    zone: str = ""
    """IANA zone of times without offset. Without it they are refused."""
    ambiguous: Ambiguous = "refuse"
    """What a local time means that the clock showed twice: refuse, first, second."""
    nonexistent: Nonexistent = "refuse"
    """What a local time means that the clock skipped: refuse, or shift by the clock's move."""
    occurred: str = "None"
    """Expression for the time at which the fact happened."""
    future_tolerance: str = "5m"
    """How far a source's clock may be ahead of the arrival."""
    decimal_mark: Literal[".", ","] = "."
    """The mark before decimals in numbers written as text."""
    fields: tuple[str, ...] = ()
    """All fields that a payload may have at its top; another one is refused. Empty: what no expression reads is ignored."""
    units: dict[str, str] = {}
    """The source's unit to a Recommendation 20 code, or to an alternative unit of the item."""
    limits: Limits = Limits()
    description: str = ""


class Parts(msgspec.Struct, frozen=True):
    """What a folder says: the manifest and its code lists, each code with its value."""

    manifest: Manifest
    codes: dict[str, dict[str, str]]


def duration(text: str) -> timedelta | None:
    """A duration such as 90s, 5m, 12h, 7d or 2w; None for `forever`. Raises `ValueError`."""
    if text == "forever":
        return None
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 5m, 12h, 7d, 2w or forever")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def read_folder(folder: Path) -> Parts:
    """Read a folder and the templates it extends. Raises `ManifestError` with file, key and the nearest right name."""
    table, codes = _merged(folder, ())
    return Parts(to_manifest(table, str(folder / MANIFEST)), codes)


def to_manifest(table: Mapping[str, object], file: str) -> Manifest:
    """A manifest from its table. Raises `ManifestError`."""
    _refuse_unknown(table, Manifest, file, "")
    _refuse_unknown(table.get("limits"), Limits, file, "limits.")
    rules = table.get("rules")
    for name, rule in rules.items() if isinstance(rules, dict) else ():
        _refuse_unknown(rule, Rule, file, f"rules.{name}.")
    missing = [field.name for field in msgspec.structs.fields(Manifest) if field.required and field.name not in table]
    if missing:
        raise ManifestError(file, missing[0], "is missing; an adapter states it (a template leaves it to its sites)")
    try:
        return msgspec.convert(table, Manifest)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        raise ManifestError(file, place.strip(".`"), problem) from None


def _refuse_unknown(table: object, kind: type[msgspec.Struct], file: str, prefix: str) -> None:
    names = [field.name for field in msgspec.structs.fields(kind)]
    for key in table if isinstance(table, dict) else ():
        if key not in names:
            raise ManifestError(file, f"{prefix}{key}", f"unknown key; {nearest(key, names)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """The part of a sentence that helps with a wrong name."""
    near = get_close_matches(name, names := list(names), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"possible are {', '.join(names)}"


def _merged(folder: Path, below: tuple[Path, ...]) -> tuple[dict[str, object], dict[str, dict[str, str]]]:
    table = _read_toml(folder / MANIFEST)
    codes = _read_codes(folder / "codes")
    base = table.pop("extends", None)
    if base is None:
        return table, codes
    file = str(folder / MANIFEST)
    if not isinstance(base, str) or Path(base).is_absolute():
        raise ManifestError(file, "extends", 'is the relative path of a folder, such as "../base"')
    template = (folder / base).resolve()
    if template in below or len(below) >= _MAX_TEMPLATES:
        raise ManifestError(file, "extends", f"templates go in a circle or more than {_MAX_TEMPLATES} deep at {base!r}")
    if not (template / MANIFEST).is_file():
        raise ManifestError(file, "extends", f"there is no {MANIFEST} in {base!r}")
    base_table, base_codes = _merged(template, (*below, folder.resolve()))
    return _override(base_table, table), base_codes | codes


def _override(base: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _override(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _read_text(file: Path) -> str:
    try:
        if file.stat().st_size > _MAX_FILE:
            raise ManifestError(str(file), "", f"is larger than {_MAX_FILE} bytes")
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise ManifestError(str(file), "", f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ManifestError(str(file), "", f"is not UTF-8 (byte {error.start})") from None


def _read_toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(str(file), "", f"is not TOML: {error}") from None


def _read_codes(folder: Path) -> dict[str, dict[str, str]]:
    return {file.stem: _read_list(file) for file in sorted(folder.glob("*.csv"))}


def _read_list(file: Path) -> dict[str, str]:
    try:
        rows = list(csv.reader(_read_text(file).splitlines(), strict=True))
    except csv.Error as error:
        raise ManifestError(str(file), "", f"is not CSV: {error}") from None
    if not rows or [column.strip() for column in rows[0]] != ["code", "value"]:
        raise ManifestError(str(file), "line 1", "the header of a code list is: code,value")
    entries: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != 2 or not row[0].strip():
            raise ManifestError(str(file), f"line {number}", "a line has a code and its value")
        code, value = row[0].strip(), row[1].strip()
        if entries.setdefault(code, value) != value:
            raise ManifestError(str(file), f"line {number}", f"the code {code!r} has two values: {entries[code]!r} and {value!r}")
    return entries

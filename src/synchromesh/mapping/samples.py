"""Samples: what an adapter's author promises, checked by running it.

In `samples/` a payload stands beside what must become of it. `NAME.json` is a payload as it comes (for format csv also `NAME.csv`: a header
and one row, told as row 1), and `NAME.expected.json` says what is expected:

    {"identity": "4711", "occurred": "2026-03-01T07:00:00Z", "events": [{"type": "production.reported", ...}]}
    {"recorded": "the reason"}          {"refused": "part of the sentence", "field": "qty"}

`identity` and `occurred` are compared where they are named; `received` is when the message arrives, the end of 2099 if it is not.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.mapping.adapter import Adapter, Mapped, load_adapter
from synchromesh.mapping.refusal import MappingRefused
from synchromesh.model.event import EnterpriseEvent, PlantEvent
from synchromesh.model.message import Message
from synchromesh.model.posting import Aware

_EXPECTED: Final = ".expected.json"
_LATE: Final = datetime(2099, 12, 31, tzinfo=UTC)
_DELIMITERS: Final = ";\t,"


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must become of a sample: `events`, or `recorded`, or `refused`."""

    identity: str | msgspec.UnsetType = msgspec.UNSET
    occurred: Aware | msgspec.UnsetType | None = msgspec.UNSET
    events: tuple[PlantEvent | EnterpriseEvent, ...] = ()
    recorded: str = ""
    refused: str = ""
    field: str | msgspec.UnsetType = msgspec.UNSET
    received: Aware = _LATE


class Sample(msgspec.Struct, frozen=True):
    """One sample that was run. `problem` is '' when it came out as expected."""

    name: str
    problem: str = ""


class Report(msgspec.Struct, frozen=True):
    """What running an adapter's samples found. An adapter without samples promises nothing, so it is not well."""

    interface: str
    digest: str
    samples: tuple[Sample, ...]

    @property
    def well(self) -> bool:
        """Whether there are samples and all of them came out as expected."""
        return bool(self.samples) and not any(sample.problem for sample in self.samples)


def test_adapter(folder: Path | str) -> Report:
    """Load the adapter of a folder and run its samples. Raises `ManifestError` when it can't be loaded."""
    folder = Path(folder)
    adapter = load_adapter(folder)
    payloads = sorted(path for path in (folder / "samples").glob("*.*") if not path.name.endswith(_EXPECTED))
    lonely = sorted(
        path.name
        for path in (folder / "samples").glob("*" + _EXPECTED)
        if not any(payload.stem == path.name.removesuffix(_EXPECTED) for payload in payloads)
    )
    run = [Sample(path.name, _run(adapter, path)) for path in payloads]
    return Report(adapter.interface, adapter.digest, (*run, *(Sample(name, "there is no payload beside it") for name in lonely)))


def _run(adapter: Adapter, payload: Path) -> str:
    """What is wrong with a sample, '' for nothing."""
    try:
        expected = msgspec.json.decode(payload.with_name(payload.stem + _EXPECTED).read_bytes(), type=Expected)
        body = _body(payload)
    except FileNotFoundError:
        return f"{payload.stem}{_EXPECTED} is missing: write what must become of this payload"
    except (OSError, ValueError) as error:
        return f"the sample can't be read: {error}"
    message = Message("sample", adapter.source, payload.stem, adapter.interface, expected.received, body)
    try:
        found = adapter.map(message)
        identity = adapter.identity(msgspec.json.decode(body, type=dict[str, object]))
    except MappingRefused as refused:
        return _refusal_differs(expected, refused)
    return _mapping_differs(expected, found, identity)


def _body(payload: Path) -> bytes:
    if payload.suffix != ".csv":
        return payload.read_bytes()
    lines = payload.read_text("utf-8-sig").splitlines()
    delimiter = next((mark for mark in _DELIMITERS if lines and mark in lines[0]), ",")
    rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    if len(rows) != 2 or len(rows[0]) != len(rows[1]):
        raise ValueError("a sample in CSV is a header and one row of as many cells")
    return msgspec.json.encode({**dict(zip(rows[0], rows[1], strict=True)), "_line": 1, "_file": "sample.csv"})


def _refusal_differs(expected: Expected, refused: MappingRefused) -> str:
    if not expected.refused:
        return f"it is refused: {refused.sentence}"
    if expected.refused not in refused.sentence:
        return f"it is refused for another reason: {refused.sentence}"
    if expected.field is not msgspec.UNSET and expected.field != refused.field:
        return f"it is refused for the field {refused.field!r}, not {expected.field!r}"
    return ""


def _mapping_differs(expected: Expected, found: Mapped, identity: str) -> str:
    if expected.refused:
        return f"it is not refused; it becomes {_shown(found)}"
    if found.events != expected.events or found.recorded != expected.recorded:
        return f"it becomes {_shown(found)}"
    if expected.identity is not msgspec.UNSET and identity != expected.identity:
        return f"its identity is {identity!r}, not {expected.identity!r}"
    if expected.occurred is not msgspec.UNSET and found.occurred != expected.occurred:
        return f"it occurred at {found.occurred and found.occurred.isoformat()}"
    return ""


def _shown(found: Mapped) -> str:
    return f"recorded: {found.recorded!r}" if found.recorded else msgspec.json.encode(found.events).decode()

"""A new adapter that works at once: to edit until it reads the plant's own payloads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from synchromesh.mapping.manifest import MANIFEST, Identifier
from synchromesh.mapping.refusal import ManifestError

_MANIFEST: Final = """\
# How the payloads of one system become canonical events. `synchromesh adapter test` runs the samples beside this file.
name = "{name}"
version = "1"
owner = "who answers for this interface"
source = "{name}"
format = "json"

# The message's own identity: never made of what it says, because two equal reports are two reports.
identity = 'row.id'
# How long a repeat may come after its first telling. An older fact can't be told from a repeat: it becomes an exception.
horizon = "7d"

# The zone of times without an offset, and when the fact happened.
zone = "Europe/Berlin"
occurred = 'time(row.finished_at)'

# The source's units as UN/CEFACT Recommendation 20 codes. A unit that is neither here nor such a code is refused.
[units]
pcs = "EA"

# Rules that refuse or record are asked first; of the others every one that fits adds its event. What no rule fits is refused.
[rules.test]
when = 'row.order == "TEST"'
record = "a test report, which is never booked"

[rules.output]
event = "production.reported"

[rules.output.fields]
order = 'text(row.order)'
operation = 'squash(row.operation)'
good = 'quantity(row.good, row.unit)'
scrap = 'some(quantity(first(row.scrap, 0), row.unit))'
reason = 'code("scrap_reasons", first(row.reason))'
"""

_FILES: Final = {
    "codes/scrap_reasons.csv": "code,value\nE1,edge broken\nD2,dimension out of tolerance\n",
    "samples/output.json": """\
{
  "id": "r-1001",
  "order": "4711",
  "operation": "Milling  2",
  "good": 12,
  "scrap": 1,
  "unit": "pcs",
  "reason": "E1",
  "finished_at": "2026-03-02T14:30:00"
}
""",
    "samples/output.expected.json": """\
{
  "identity": "r-1001",
  "occurred": "2026-03-02T13:30:00Z",
  "events": [
    {
      "type": "production.reported",
      "order": "4711",
      "operation": "Milling 2",
      "good": {"amount": "12", "unit": "EA"},
      "scrap": {"amount": "1", "unit": "EA"},
      "reason": "edge broken"
    }
  ]
}
""",
    "samples/no_unit.json": """\
{"id": "r-1002", "order": "4711", "operation": "Milling 2", "good": 12, "unit": "", "finished_at": "2026-03-02T14:31:00"}
""",
    "samples/no_unit.expected.json": '{"refused": "the quantity has no unit"}\n',
}


def new_adapter(folder: Path | str, name: str) -> tuple[Path, ...]:
    """Write an adapter that passes its samples into a folder that is new or empty; the files written. Raises `ManifestError`."""
    folder = Path(folder)
    if not _possible(name):
        raise ManifestError(str(folder), "name", f"{name!r} is not a name; use letters, digits, '.', '_' and '-', 64 at most")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ManifestError(str(folder), "", "is not empty; name a new folder")
        return tuple(_write(folder / path, text) for path, text in {MANIFEST: _MANIFEST.format(name=name), **_FILES}.items())
    except OSError as error:
        raise ManifestError(str(folder), "", f"can't be written: {error.strerror}") from None


def _possible(name: str) -> bool:
    try:
        msgspec.convert(name, Identifier)
    except msgspec.ValidationError:
        return False
    return True


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path

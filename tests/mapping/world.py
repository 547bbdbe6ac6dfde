"""What the tests of the mapping share: an adapter from a few lines, and messages for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from synchromesh.mapping.adapter import Adapter, load_adapter
from synchromesh.model.message import Message

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]

HEAD = """\
name = "demo"
version = "1"
owner = "test"
source = "mes"
horizon = "7d"
identity = 'text(row.id)'
"""

REPORT = """
[rules.report]
event = "production.reported"
[rules.report.fields]
order = 'row.order'
good = 'quantity(row.good, row.unit)'
"""


def write(folder: Path, manifest: str, codes: dict[str, str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter.toml").write_text(manifest, encoding="utf-8")
    for name, text in (codes or {}).items():
        (folder / "codes").mkdir(exist_ok=True)
        (folder / "codes" / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def adapter(folder: Path, rest: str = REPORT, head: str = HEAD, format: str = "json", codes: dict[str, str] | None = None) -> Adapter:
    return load_adapter(write(folder, f'{head}format = "{format}"\n{rest}', codes))


def message(body: object, received: datetime = NOW, occurred: datetime | None = None) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message("plant", "mes", "1", "demo/1", received, raw, occurred=occurred)

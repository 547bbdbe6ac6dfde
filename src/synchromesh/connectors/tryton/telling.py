"""A canonical event as a change with a stable identity."""

from __future__ import annotations

import hashlib

import msgspec

from synchromesh.connectors.agreement import Change
from synchromesh.model.event import Event


def change(event: Event, name: str, version: str, plant: str = "") -> Change:
    """The change that tells `event` of the thing `name`. Its identity holds the version, so that a return to an earlier content is told,
    and the content, so that the same version read twice with other content is told twice."""
    fields = msgspec.to_builtins(event)
    kind = fields.pop("type")
    data = msgspec.json.encode(fields)
    return Change(f"{kind}/{name}/{version}/{hashlib.sha256(data).hexdigest()[:8]}", kind, data, plant)

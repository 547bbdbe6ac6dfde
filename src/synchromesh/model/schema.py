"""The JSON Schema of the canonical events, made from the types, so that it can't say anything else than they do."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.model.event import EXTERNAL

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def event_schema() -> dict[str, object]:
    """One document for all events that a source may tell: each is the `data` of an event with its `type`."""
    return {"$schema": DIALECT, "title": "Synchromesh canonical events", **msgspec.json.schema(EXTERNAL)}

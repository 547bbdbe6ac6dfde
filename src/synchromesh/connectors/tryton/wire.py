"""What passes between the connector and the Tryton module: typed on both sides, checked where it enters."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.model.posting import Posting, Refusal

MODEL: Final = "synchromesh.posting"
"""The model of the Tryton module, and the first part of its RPC names."""

HELD_BACK: Final = "/"
"""Between a location's name and a stock status: Tryton has no stock status, so goods of one lie in a location of their own."""


class Envelope(msgspec.Struct, frozen=True):
    """One posting with the warehouse of its plant, by code; '' for the only one."""

    posting: Posting
    warehouse: str = ""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the module made of one posting: `document` when it is in the books, else `refusal`, and then nothing was written.
    `record` is the posting's id in Tryton, `replayed` that it was booked by an earlier request."""

    key: str
    document: str = ""
    record: int = 0
    replayed: bool = False
    refusal: Refusal | None = None


class Stock(msgspec.Struct, frozen=True):
    """What one location, by its id, holds of an item and lot ('' for none), in the item's own unit by its symbol."""

    location: int
    item: str
    lot: str
    symbol: str
    quantity: Decimal


def canonical(posting: Posting) -> bytes:
    """The posting as bytes that are the same whenever the posting is."""
    return msgspec.json.encode(posting, order="deterministic")


def digest(posting: Posting) -> str:
    """The fingerprint of a posting's content."""
    return hashlib.sha256(canonical(posting)).hexdigest()

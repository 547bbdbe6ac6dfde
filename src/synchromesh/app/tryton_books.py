"""Tryton's books as the auditor reads them: documents of ours by their records, stock by every move that is done, whoever made it.

Stock is added up here, from the moves, and not asked of what books: what moved without a document shows as a difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.connectors.tryton.rpc import Tryton, read_as
from synchromesh.connectors.tryton.settings import read_settings
from synchromesh.connectors.tryton.wire import HELD_BACK, MODEL
from synchromesh.model.posting import Posting, PostingKind
from synchromesh.sim.evidence import Books, Document
from synchromesh.sim.truth import Place

_posting: Final = msgspec.json.Decoder(Posting).decode


class _Original(msgspec.Struct):
    number: str


class _Production(msgspec.Struct):
    reference: str


class _Record(msgspec.Struct, rename={"reverses_": "reverses.", "production_": "production."}):
    """A posting as Tryton keeps it."""

    key: str
    number: str
    kind: PostingKind
    content: str
    effective_date: date
    reverses_: _Original | None = None
    production_: _Production | None = None


class _Item(msgspec.Struct):
    code: str


class _Lot(msgspec.Struct):
    number: str


class _Location(msgspec.Struct):
    type: str
    code: str | None = None


class _Move(msgspec.Struct, rename={"product_": "product.", "lot_": "lot.", "source": "from_location.", "target": "to_location."}):
    """A move that is done, in the item's own unit."""

    internal_quantity: Decimal
    product_: _Item
    source: _Location
    target: _Location
    lot_: _Lot | None = None


_RECORD: Final = ["key", "number", "kind", "content", "effective_date", "reverses.number", "production.reference"]
_MOVE: Final = [
    "internal_quantity", "product.code", "lot.number",
    "from_location.type", "from_location.code", "to_location.type", "to_location.code",
]  # fmt: skip


async def read_books(settings: Mapping[str, object]) -> Books:
    """The whole books of the Tryton that these settings of its connector lead to. Raises `ConnectorError`."""
    tryton = Tryton(read_settings(settings))
    try:
        by_id = [["id", "ASC"]]
        records = await tryton.call(f"model.{MODEL}.search_read", [], 0, None, by_id, _RECORD)
        moves = await tryton.call("model.stock.move.search_read", [["state", "=", "done"]], 0, None, by_id, _MOVE)
    finally:
        await tryton.close()
    documents = [_document(record) for record in read_as(records, list[_Record], "its postings")]
    return Books(documents, _balances(read_as(moves, list[_Move], "its moves")))


def _document(record: _Record) -> Document:
    posting = _posting(record.content)
    lines = posting.lines if record.kind is not PostingKind.REVERSAL else ()
    order = record.production_.reference if record.production_ else ""
    original = record.reverses_.number if record.reverses_ else ""
    work = (posting.operation, posting.labour_seconds, posting.machine_seconds)
    return Document(
        record.number, record.key, record.kind, "", order, record.effective_date, lines, original, False, False, *work, posting.original
    )


def _balances(moves: list[_Move]) -> dict[Place, Decimal]:
    """What the moves left at each storage location; what has come to nothing is left out."""
    stock: dict[Place, Decimal] = defaultdict(Decimal)
    for move in moves:
        for location, sign in ((move.source, -1), (move.target, 1)):
            if location.type == "storage":
                stock[_place(move, location)] += sign * move.internal_quantity
    return {place: amount for place, amount in stock.items() if amount}


def _place(move: _Move, location: _Location) -> Place:
    name, _, status = (location.code or "").partition(HELD_BACK)
    return Place(move.product_.code, name, move.lot_.number if move.lot_ else "", status)

"""Stock moves as documents: which are postings of this connector, and what people booked and cancelled by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar, Protocol

import msgspec

from synchromesh.connectors.agreement import Change
from synchromesh.connectors.tryton import units
from synchromesh.connectors.tryton.places import Place, Places
from synchromesh.connectors.tryton.telling import change
from synchromesh.model.event import DocumentBooked, DocumentCancelled
from synchromesh.model.posting import Line, PostingKind


class _Item(msgspec.Struct):
    code: str | None = None


class _Unit(msgspec.Struct):
    symbol: str


class _Lot(msgspec.Struct):
    number: str


class _Order(msgspec.Struct):
    id: int
    reference: str | None = None
    number: str | None = None


class _Own(msgspec.Struct):
    number: str


_RENAMES = {
    "product_": "product.",
    "unit_": "unit.",
    "lot_": "lot.",
    "production_": "production.",
    "posting_": "synchromesh_posting.",
}


class Move(msgspec.Struct, rename=_RENAMES):
    """A stock move. `synchromesh` is the document of ours that it belongs to, '' for none; see `Ownership.mark`."""

    WANTED: ClassVar = (
        "state", "quantity", "from_location", "to_location", "production", "production_input", "production_output", "effective_date",
        "internal_quantity", "cost_price", "write_uid", "create_uid", "shipment",
        "product.code", "unit.symbol", "lot.number", "production.reference", "production.number",
    )  # fmt: skip

    id: int
    state: str
    quantity: Decimal
    from_location: int
    to_location: int
    product_: _Item
    unit_: _Unit
    production: int | None = None
    production_input: int | None = None
    production_output: int | None = None
    effective_date: str | None = None
    internal_quantity: Decimal = Decimal(0)
    cost_price: Decimal | None = None
    write_uid: int | None = None
    create_uid: int | None = None
    shipment: str | None = None
    lot_: _Lot | None = None
    production_: _Order | None = None
    posting_: _Own | None = None
    synchromesh_withdrawn: bool | None = None
    synchromesh: str = ""
    withdrawn: bool = False
    """It was in the books and somebody else took it out again."""

    @property
    def order(self) -> str:
        """The name of the production that it belongs to, or ''."""
        return (self.production_.reference or self.production_.number or "") if self.production_ else ""


class Ownership(Protocol):
    """Knows which moves are postings of this connector."""

    fields: tuple[str, ...]
    """Fields of a move that it needs, beside those of every move."""

    async def mark(self, moves: list[Move]) -> list[Move]:
        """Set `synchromesh` and `withdrawn` of each move."""
        ...


class ModuleOwnership:
    """With the module a move knows its posting, and whether it was cancelled after it was done."""

    fields: tuple[str, ...] = ("synchromesh_posting.number", "synchromesh_withdrawn")

    async def mark(self, moves: list[Move]) -> list[Move]:
        """See `Ownership.mark`."""
        for move in moves:
            move.synchromesh = move.posting_.number if move.posting_ else ""
            move.withdrawn = bool(move.synchromesh_withdrawn)
        return moves


def document_of(move: int) -> str:
    """The number of a move that people booked: moves have none of their own in Tryton."""
    return f"MOVE-{move}"


def tell_moves(moves: list[Move], modified: dict[int, str], places: Places, plants: dict[str, str]) -> list[Change]:
    """What others booked and cancelled: a document per move of theirs, and ours once when any of its moves is withdrawn."""
    changes = []
    cancelled: set[str] = set()
    for move in moves:
        place = places.all.get(move.to_location) or places.all.get(move.from_location)
        plant = plants.get(place.warehouse, "") if place else ""
        if move.withdrawn:
            document = move.synchromesh or document_of(move.id)
            if document not in cancelled:
                cancelled.add(document)
                # The identity of a withdrawn document is the document: that it is cancelled twice can't be.
                changes.append(change(DocumentCancelled(document=document), document, "cancelled", plant))
        elif move.state == "done" and not move.synchromesh:
            event = _booked(move, places)
            if event is not None:
                changes.append(change(event, event.document, modified[move.id], plant))
    return changes


def _booked(move: Move, places: Places) -> DocumentBooked | None:
    """A move by hand in canonical words; stock that comes from or goes to partners is an adjustment with its reason."""
    source, target = places.all.get(move.from_location), places.all.get(move.to_location)
    if not move.product_.code or not (source or target or move.production) or not move.quantity:
        return None
    kind, sign = _kind(move, source, target, places.kind(move.to_location))
    place = source if kind in {PostingKind.ISSUE, PostingKind.TRANSFER} else target or source
    if sign < 0 and kind is PostingKind.ISSUE:
        place = target
    line = Line(
        item=move.product_.code,
        quantity=units.quantity(move.quantity * sign, move.unit_.symbol),
        location=place.name if place else "",
        status=place.status if place else "",
        lot=move.lot_.number if move.lot_ else "",
        to_location=target.name if target and kind is PostingKind.TRANSFER else "",
        to_status=target.status if target and kind is PostingKind.TRANSFER else "",
        reason=(move.shipment or "") if kind is PostingKind.ADJUSTMENT else "",
    )
    day = date.fromisoformat(move.effective_date) if move.effective_date else None
    return DocumentBooked(document=document_of(move.id), kind=kind, lines=(line,), order=move.order, day=day)


def _kind(move: Move, source: Place | None, target: Place | None, target_kind: str) -> tuple[PostingKind, int]:
    if move.production_input:
        return PostingKind.ISSUE, 1
    if move.production_output:
        return (PostingKind.SCRAP, 1) if target_kind == "lost_found" else (PostingKind.RECEIPT, 1)
    if source and target:
        return PostingKind.TRANSFER, 1
    return PostingKind.ADJUSTMENT, 1 if target else -1

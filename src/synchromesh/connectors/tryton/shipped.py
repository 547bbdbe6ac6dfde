"""Postings that a plain Tryton keeps as internal shipments: the key is the shipment's reference, its state says how far it came."""

from __future__ import annotations

import msgspec

from synchromesh.connectors.tryton.desk import Desk, Refused, Warehouse, in_own_unit
from synchromesh.connectors.tryton.journal import Journal
from synchromesh.connectors.tryton.pressing import press
from synchromesh.connectors.tryton.rpc import Json, Tryton, Unclear, read_as, typed_date
from synchromesh.model import subject
from synchromesh.model.posting import Category, Line, Posting, PostingKind

_MODEL = "stock.shipment.internal"
_DRAFT = frozenset({"request", "draft"})


class Shipment(msgspec.Struct, frozen=True):
    """An internal shipment."""

    id: int
    state: str
    from_location: int
    to_location: int
    moves: list[int]
    number: str | None = None
    effective_date: str | None = None


class _Moved(msgspec.Struct):
    product: int
    unit: int
    quantity: float
    from_location: int
    to_location: int
    lot: int | None = None


_MOVED = ["product", "unit", "quantity", "from_location", "to_location", "lot"]


class Shipped:
    """Books internal shipments."""

    def __init__(self, tryton: Tryton) -> None:
        self._tryton = tryton
        self._journal = Journal(tryton)

    async def document(self, key: str) -> str:
        """The document of a key that is booked as a shipment, or ''. One that was cancelled after it was done had been booked."""
        found = await self._search([["reference", "=", key]])
        return next((s.number or "" for s in found if s.state == "done" or (s.state == "cancelled" and s.effective_date)), "")

    async def find(self, key: str, number: str) -> Shipment | None:
        """The shipment that is booked under a key or number."""
        for field, value in (("reference", key), ("number", number)):
            found = await self._search([[field, "=", value], ["state", "in", ["done", "cancelled"]]]) if value else []
            if found:
                return found[0]
        return None

    async def book(self, desk: Desk, posting: Posting, warehouse: Warehouse) -> str:
        """Book, or go on with the shipment that was begun under the same key."""
        await desk.check_day(posting.effective)
        moves = [await self._move(desk, posting, line, warehouse) for line in posting.lines]
        return await self._ship(posting, moves)

    async def reverse(self, desk: Desk, posting: Posting, original: Shipment) -> str:
        """A shipment back. A note on the original says which reversal it is taken back by, so that a second one is refused."""
        await desk.check_day(posting.effective)
        resource = f"{_MODEL},{original.id}"
        noted = await self._journal.on([resource])
        if original.state != "done" or any(n.entry.key != posting.key for n in noted):
            name = original.number or posting.reverses
            raise Refused(Category.INVALID, subject.document(name), f"The document {name} was reversed or cancelled before.")
        if not noted:
            await self._journal.write(resource, posting, original.moves)
        rows = await self._tryton.call("model.stock.move.read", original.moves, _MOVED)
        moves = read_as(rows, list[_Moved], "the moves")
        company = await self._tryton.company()
        return await self._ship(posting, [_back(move, company) for move in moves])

    async def _search(self, domain: list[Json]) -> list[Shipment]:
        fields = [*Shipment.__struct_fields__][1:]
        rows = await self._tryton.call(f"model.{_MODEL}.search_read", domain, 0, None, [["id", "ASC"]], fields)
        return read_as(rows, list[Shipment], "the shipments")

    async def _move(self, desk: Desk, posting: Posting, line: Line, warehouse: Warehouse) -> dict[str, Json]:
        amount = line.quantity.amount
        adjustment = posting.kind is PostingKind.ADJUSTMENT
        if not amount or line.owner or (amount < 0 and not adjustment):
            what = "other owners' stock" if line.owner else "lines without or with a negative quantity"
            raise Refused(
                Category.INVALID, subject.item(line.item), f"A Tryton without the module can't book {what}.", "Reverse and post anew."
            )
        item = await desk.item(line.item)
        unit = await desk.unit(item, line.quantity)
        gain = adjustment and amount > 0
        place = await desk.place(line.location, line.status, warehouse, warehouse.storage_location, item=line.item, create=gain)
        other = await self._other_side(desk, posting, line, warehouse)
        source, target = (other, place) if gain else (place, other)
        if source == target:
            raise Refused(Category.INVALID, subject.item(line.item), f"The transfer of {line.item} begins and ends at the same place.")
        if not line.lot and item.lot_required:
            raise Refused(
                Category.UNKNOWN_LOT,
                subject.item(item.code),
                f"The item {item.code} is kept by lot, and the line names none.",
                "Name the lot.",
            )
        lot = await desk.lot(item, line.lot, create=gain) if line.lot else None
        if not gain:
            await desk.check_stock(item, source, lot, abs(in_own_unit(item, unit, amount)))
        return _values(await self._tryton.company(), _Moved(item.id, unit.id, float(abs(amount)), source, target, lot))

    async def _other_side(self, desk: Desk, posting: Posting, line: Line, warehouse: Warehouse) -> int:
        if posting.kind is PostingKind.TRANSFER:
            to, usual = line.to_location or line.location, warehouse.storage_location
            return await desk.place(to, line.to_status, warehouse, usual, item=line.item, create=True)
        scrap = warehouse.waste_locations[0] if posting.kind is PostingKind.SCRAP and warehouse.waste_locations else None
        place = scrap or warehouse.lost_found_location
        if place is None:
            sentence = f"The warehouse {warehouse.code} has no lost and found location."
            raise Refused(Category.UNKNOWN_LOCATION, subject.warehouse(warehouse.code), sentence, "Set one in Tryton.")
        return place

    async def _ship(self, posting: Posting, moves: list[dict[str, Json]]) -> str:
        """The machine: make, wait, reserve, do; each step only if the shipment's state says that it is still to come."""
        pairs = {(str(move["from_location"]), str(move["to_location"])) for move in moves}
        if len(pairs) != 1:
            sentence = "A shipment of Tryton goes from one place to one place, and the lines name several, or there are none."
            raise Refused(Category.INVALID, subject.about(posting), sentence, "Post each pair of places separately.")
        begun = [s for s in await self._search([["reference", "=", posting.key]]) if s.state != "cancelled"]
        shipment = begun[0] if begun else await self._create(posting, moves)
        if shipment.state in _DRAFT:
            await press(self._tryton, f"{_MODEL}.wait", [shipment.id])
        if shipment.state in {*_DRAFT, "waiting"}:
            await press(self._tryton, f"{_MODEL}.assign_try", [shipment.id])
        if (await self._state(shipment)).state == "waiting":
            await press(self._tryton, f"{_MODEL}.cancel", [shipment.id])
            what = subject.item(posting.lines[0].item) if posting.lines else subject.document(posting.reverses_document)
            raise Refused(Category.INSUFFICIENT_STOCK, what, "Tryton can't reserve the stock.")
        await press(self._tryton, f"{_MODEL}.do", [shipment.id])
        now = await self._state(shipment)
        if now.state != "done":
            raise Unclear(f"Tryton raised no error, and the shipment {now.number} is {now.state}")
        return now.number or ""

    async def _create(self, posting: Posting, moves: list[dict[str, Json]]) -> Shipment:
        day = typed_date(posting.effective.isoformat())
        values: Json = {
            "company": await self._tryton.company(),
            "reference": posting.key,
            "from_location": moves[0]["from_location"],
            "to_location": moves[0]["to_location"],
            "planned_date": day,
            "planned_start_date": day,
            "effective_date": day,
            "effective_start_date": day,
            "moves": [["create", moves]],
        }
        created = read_as(await self._tryton.call(f"model.{_MODEL}.create", [values]), list[int], "a shipment")[0]
        return (await self._search([["id", "=", created]]))[0]

    async def _state(self, shipment: Shipment) -> Shipment:
        return (await self._search([["id", "=", shipment.id]]))[0]


def _values(company: int, moved: _Moved) -> dict[str, Json]:
    values: dict[str, Json] = msgspec.to_builtins(moved)
    return values | {"company": company}


def _back(moved: _Moved, company: int) -> dict[str, Json]:
    return _values(company, msgspec.structs.replace(moved, from_location=moved.to_location, to_location=moved.from_location))

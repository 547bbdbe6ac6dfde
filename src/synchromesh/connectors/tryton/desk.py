"""What a plain Tryton holds, looked up by name over JSON-RPC, or refused in words that name the remedy.

The counterpart of `module.books` for a Tryton without the module: the same names and the same refusals, from outside.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.connectors.tryton import units
from synchromesh.connectors.tryton.places import Place, Places, read_places
from synchromesh.connectors.tryton.rpc import Json, Tryton, read_as
from synchromesh.connectors.tryton.wire import HELD_BACK
from synchromesh.model import subject
from synchromesh.model.posting import Category, Refusal
from synchromesh.model.quantity import Quantity, plain

RELEASED: Final = frozenset({"waiting", "assigned", "running"})


class Refused(Exception):
    """A posting that is not booked, and why."""

    def __init__(self, category: Category, subject: str, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.refusal = Refusal(category, subject, sentence, remedy)


class Unit(msgspec.Struct, frozen=True):
    """A unit of measure."""

    id: int
    symbol: str
    digits: int
    category: int
    factor: Decimal


class Item(msgspec.Struct, frozen=True, rename={"unit": "default_uom."}):
    """A product with its own unit."""

    id: int
    code: str
    unit: Unit
    lot_required: list[str] | None = None
    cost_price: Decimal | None = None


class Production(msgspec.Struct, frozen=True, rename={"timestamp": "_timestamp"}):
    """An order as it was when it was looked at: `timestamp` is its version."""

    id: int
    state: str
    warehouse: int
    location: int
    product: int | None = None
    number: str | None = None
    outputs: list[int] = []
    inputs: list[int] = []
    timestamp: str = ""

    @classmethod
    def wanted(cls) -> list[str]:
        """The fields to read."""
        return [field.encode_name for field in msgspec.structs.fields(cls) if field.name != "id"]


class Warehouse(msgspec.Struct, frozen=True):
    """A warehouse and the locations of its own that postings use."""

    id: int
    code: str
    storage_location: int
    production_location: int
    production_picking_location: int | None = None
    production_output_location: int | None = None
    lost_found_location: int | None = None
    waste_locations: list[int] = []


class _Lot(msgspec.Struct):
    id: int
    active: bool


class _Amount(msgspec.Struct):
    quantity: Decimal


class _Day(msgspec.Struct):
    date: str


_ITEM = ["code", "lot_required", "cost_price", *(f"default_uom.{field}" for field in Unit.__struct_fields__ if field != "id")]


class Desk:
    """Lookups of one posting. Things are read when they are needed, and only once."""

    def __init__(self, tryton: Tryton) -> None:
        self.tryton = tryton
        self._places: Places | None = None

    async def places(self) -> Places:
        """All storage locations."""
        if self._places is None:
            self._places = await read_places(self.tryton)
        return self._places

    async def production(self, name: str) -> Production:
        """The production with this reference or number, in whatever state."""
        if not name:
            raise Refused(Category.INVALID, subject.order(""), "The posting names no order, and its kind needs one.")
        company = await self.tryton.company()
        fields = Production.wanted()
        for field in ("reference", "number"):
            domain: list[Json] = [[field, "=", name], ["company", "=", company]]
            rows = await self.tryton.call("model.production.search_read", domain, 0, 2, None, fields)
            found = read_as(rows, list[Production], "the order")
            if len(found) > 1:
                raise Refused(
                    Category.INVALID, subject.order(name), f"Several productions have the {field} {name}.", "Make them unique in Tryton."
                )
            if found:
                return found[0]
        raise Refused(
            Category.UNKNOWN_ORDER,
            subject.order(name),
            f"No production has the reference or number {name}.",
            "Create the production in Tryton.",
        )

    @staticmethod
    def check_released(production: Production, name: str) -> None:
        """Refuse an order that may not be booked against."""
        if production.state in {"done", "cancelled"}:
            remedy = "Book it on another production, or dismiss the fact."
            raise Refused(Category.ORDER_CLOSED, subject.order(name), f"The production {name} is {production.state}.", remedy)
        if production.state not in RELEASED:
            remedy = "Press Wait on the production in Tryton."
            raise Refused(Category.ORDER_NOT_RELEASED, subject.order(name), f"The production {name} is still {production.state}.", remedy)

    async def warehouse(self, code: str) -> Warehouse:
        """The warehouse with this code, or the only one."""
        return await self._warehouse([["code", "=", code]] if code else [], code)

    async def warehouse_of(self, production: Production) -> Warehouse:
        """The warehouse of an order."""
        return await self._warehouse([["id", "=", production.warehouse]], "")

    async def _warehouse(self, domain: list[Json], name: str) -> Warehouse:
        fields = [*Warehouse.__struct_fields__][1:]
        wanted = [*domain, ["type", "=", "warehouse"]]
        rows = await self.tryton.call("model.stock.location.search_read", wanted, 0, 2, None, fields)
        found = read_as(rows, list[Warehouse], "the warehouse")
        if len(found) != 1:
            remedy = "Name the plant's warehouse in the connector's settings, for example plants = { P1 = \"WH\" }."
            raise Refused(
                Category.UNKNOWN_LOCATION, subject.warehouse(name), "Tryton has no single warehouse for the posting's plant.", remedy
            )
        return found[0]

    async def item(self, code: str) -> Item:
        """The product with this code."""
        rows = await self.tryton.call("model.product.product.search_read", [["code", "=", code]], 0, 2, None, _ITEM)
        found = read_as(rows, list[Item], "the item")
        if len(found) != 1:
            what = "is not known in Tryton" if not found else "is the code of several products in Tryton"
            category = Category.INVALID if found else Category.UNKNOWN_ITEM
            raise Refused(category, subject.item(code), f"The item {code} {what}.", "Create one product with this code in Tryton.")
        return found[0]

    async def unit(self, item: Item, quantity: Quantity) -> Unit:
        """The unit of a quantity, checked against the item's category and against rounding in both units."""
        domain: list[Json] = [["symbol", "=", units.symbol(quantity.unit)], ["category", "=", item.unit.category]]
        rows = await self.tryton.call("model.product.uom.search_read", domain, 0, 2, None, [*Unit.__struct_fields__][1:])
        found = read_as(rows, list[Unit], "the unit")
        own = units.code(item.unit.symbol)
        if len(found) != 1:
            remedy = "Send the quantity in a unit of the same category, or add the unit to that category in Tryton."
            raise Refused(
                Category.MISSING_UNIT,
                subject.unit(quantity.unit, item.code),
                f"{quantity.unit} can't be converted to {own}, the unit of {item.code}.",
                remedy,
            )
        unit = found[0]
        amount = quantity.amount
        if amount != round(amount, unit.digits):
            sentence = f"{quantity} is finer than Tryton keeps {quantity.unit}: {unit.digits} decimals."
            raise Refused(Category.INVALID, subject.item(item.code), sentence, "Round the quantity before posting.")
        internal = in_own_unit(item, unit, amount)
        if internal != round(internal, item.unit.digits):
            raise Refused(Category.INVALID, subject.item(item.code), f"{quantity} is finer than the item's own unit {own} can hold.")
        return unit

    async def place(self, name: str, status: str, warehouse: Warehouse, default: int, *, item: str, create: bool = False) -> int:
        """The id of the storage location of an item by name and status; with `create` that of a status is made when missing."""
        places = await self.places()
        base = self._base(places, name, warehouse) if name else places.all.get(default)
        if base is None:
            raise Refused(
                Category.UNKNOWN_LOCATION, subject.location(name), f"The location {name or 'of the warehouse'} is unknown in Tryton."
            )
        if not status:
            return base.id
        for place in places.all.values():
            if (place.name, place.status, place.warehouse) == (base.name, status, base.warehouse):
                return place.id
        if not create:
            raise Refused(
                Category.INSUFFICIENT_STOCK, subject.item(item), f"Nothing of {item} lies at {base.name} with the status {status}."
            )
        code = f"{places.code(base.id)}{HELD_BACK}{status}"
        values: Json = {"name": f"{base.description} ({status})", "code": code, "type": "storage", "parent": base.id}
        self._places = None
        return read_as(await self.tryton.call("model.stock.location.create", [values]), list[int], "a location")[0]

    @staticmethod
    def _base(places: Places, name: str, warehouse: Warehouse) -> Place | None:
        bare = name.rpartition(":")[2]
        found = [place for place in places.all.values() if not place.status and place.name in {name, f"{warehouse.code}:{name}"}]
        inside = [place for place in found if place.warehouse == warehouse.code]
        if len(inside) == 1 or len(found) == 1:
            return (inside or found)[0]
        if found:
            raise Refused(
                Category.UNKNOWN_LOCATION, subject.location(name), f"The location {bare} is the code of several locations in Tryton."
            )
        return None

    async def lot(self, item: Item, number: str, create: bool) -> int:
        """The id of a lot; with `create` it is made when missing."""
        domain: list[Json] = [["product", "=", item.id], ["number", "=", number], ["active", "in", [True, False]]]
        found = read_as(await self.tryton.call("model.stock.lot.search_read", domain, 0, 2, None, ["active"]), list[_Lot], "the lot")
        if len(found) > 1:
            raise Refused(
                Category.INVALID, subject.lot(number, item.code), f"The item {item.code} has several lots with the number {number}."
            )
        if found and not found[0].active:
            raise Refused(
                Category.LOT_NOT_USABLE,
                subject.lot(number, item.code),
                f"The lot {number} is deactivated in Tryton.",
                "Activate it, or use another one.",
            )
        if found:
            return found[0].id
        if not create:
            raise Refused(
                Category.UNKNOWN_LOT,
                subject.lot(number, item.code),
                f"The item {item.code} has no lot {number}.",
                "Receive the lot first.",
            )
        values: Json = {"product": item.id, "number": number}
        return read_as(await self.tryton.call("model.stock.lot.create", [values]), list[int], "a lot")[0]

    async def check_day(self, day: date) -> None:
        """Refuse a day in a closed stock period, or in the future."""
        company = await self.tryton.company()
        domain: list[Json] = [["state", "=", "closed"], ["company", "=", company]]
        rows = await self.tryton.call("model.stock.period.search_read", domain, 0, 1, [["date", "DESC"]], ["date"])
        closed = read_as(rows, list[_Day], "the stock periods")
        if closed and day.isoformat() <= closed[0].date:
            sentence = f"The stock period through {closed[0].date} is closed, and the fact is of {day}."
            raise Refused(
                Category.CLOSED_PERIOD, subject.period(day), sentence, "Reopen the period in Tryton, or book on the first open day."
            )
        # Somewhere on earth it is already tomorrow; the day after is a wrong clock.
        if day > datetime.now(UTC).date() + timedelta(days=1):
            raise Refused(Category.INVALID, subject.day(day), f"The day {day} lies in the future.", "Check the clock of the source.")

    async def check_stock(self, item: Item, place: int, lot: int | None, amount: Decimal) -> None:
        """Refuse what is not there: `amount` in the item's own unit."""
        context: dict[str, Json] = {"locations": [place], "with_childs": False}
        model, record = ("stock.lot", lot) if lot else ("product.product", item.id)
        rows = await self.tryton.call_in(context, f"model.{model}.read", [record], ["quantity"])
        on_hand = read_as(rows, list[_Amount], "the stock")[0].quantity
        if amount > on_hand:
            unit = units.code(item.unit.symbol)
            where = (await self.places()).code(place)
            sentence = f"{plain(amount)} {unit} of {item.code} are wanted at {where}, and {plain(on_hand)} are there."
            remedy = "Receive or transfer the missing quantity, or correct the report."
            raise Refused(Category.INSUFFICIENT_STOCK, subject.item(item.code), sentence, remedy)


def in_own_unit(item: Item, unit: Unit, amount: Decimal) -> Decimal:
    """An amount in the item's own unit, to 9 decimals."""
    return round(amount * unit.factor / item.unit.factor, 9)

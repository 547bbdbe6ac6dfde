"""What Tryton holds, looked up by the names that plants use, or refused in words that name the remedy.

One `Books` lives as long as one request's transaction. It reads each thing once, and it keeps the quantities that the postings of the
same request have already taken, so that the second of two issues sees what the first one left.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from trytond.pool import Pool
from trytond.transaction import Transaction

from synchromesh.connectors.tryton import units
from synchromesh.connectors.tryton.wire import HELD_BACK, Stock
from synchromesh.model import subject
from synchromesh.model.posting import Category, Refusal
from synchromesh.model.quantity import Quantity, plain

Record = Any
"""A record of Tryton; its models are made at run time and have no static type."""

RELEASED: Final = frozenset({"waiting", "assigned", "running"})
"""States of a production that may be booked against."""

MAX_EXACT_DIGITS: Final = 15
"""Tryton keeps quantities as binary floats, which hold any decimal of up to 15 digits."""


class Refused(Exception):
    """A posting that is not booked, and why. Nothing was written for it."""

    def __init__(self, category: Category, subject: str, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.refusal = Refusal(category, subject, _sentence(sentence), _sentence(remedy))


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""


class Books:
    """Lookups of one company, within one transaction."""

    def __init__(self, company: int) -> None:
        self.pool = Pool()
        self.company = company
        self._items: dict[str, Record] = {}
        self._locations: dict[tuple[int, str], Record] = {}
        self._stock: dict[int, dict[tuple[int, int | None], Decimal]] = {}
        self._taken: dict[tuple[int, int, str], Decimal] = {}
        self._new_lots: dict[tuple[int, str], None] = {}
        self._closed_through: datetime.date | None = None
        self._periods_read = False

    def warehouse(self, code: str) -> Record:
        """The warehouse with this code, or the only one."""
        domain: list[object] = [("type", "=", "warehouse")]
        if code:
            domain.append(("code", "=", code))
        found = self.pool.get("stock.location").search(domain, limit=2)
        if len(found) == 1:
            return found[0]
        if found and not code:
            raise Refused(
                Category.UNKNOWN_LOCATION,
                subject.warehouse(""),
                "Tryton has several warehouses and the posting's plant is mapped to none of them",
                "name the plant's warehouse in the connector's settings, for example plants = { P1 = \"WH\" }",
            )
        raise Refused(Category.UNKNOWN_LOCATION, subject.warehouse(code), f"Tryton has no single warehouse with the code {code!r}")

    def item(self, code: str) -> Record:
        """The active product with this code."""
        if code not in self._items:
            found = self.pool.get("product.product").search([("code", "=", code)], limit=2)
            if len(found) != 1:
                what = "is not known in Tryton" if not found else "is the code of several products in Tryton"
                category = Category.INVALID if found else Category.UNKNOWN_ITEM
                raise Refused(
                    category, subject.item(code), f"the item {code} {what}", "create one product with this code in Tryton, then post again"
                )
            self._items[code] = found[0]
        return self._items[code]

    def order(self, name: str) -> Record:
        """The released production with this reference or, if none has it, this number."""
        if not name:
            raise Refused(Category.INVALID, subject.order(""), "the posting names no order, and its kind needs one")
        production = self.pool.get("production")
        found: list[Record] = []
        for field in ("reference", "number"):
            found = production.search([(field, "=", name), ("company", "=", self.company)], limit=2)
            if found:
                break
        if not found:
            raise Refused(
                Category.UNKNOWN_ORDER,
                subject.order(name),
                f"no production has the reference or number {name}",
                "create the production in Tryton",
            )
        if len(found) > 1:
            raise Refused(
                Category.INVALID,
                subject.order(name),
                f"several productions have the reference {name}",
                "make the references unique in Tryton",
            )
        order = found[0]
        if order.state in {"done", "cancelled"}:
            raise Refused(
                Category.ORDER_CLOSED,
                subject.order(name),
                f"the production {name} is {order.state}",
                "book it on another production, or dismiss the fact",
            )
        if order.state not in RELEASED:
            raise Refused(
                Category.ORDER_NOT_RELEASED,
                subject.order(name),
                f"the production {name} is still {order.state}",
                "press Wait on the production in Tryton",
            )
        return order

    def location(self, name: str, status: str, warehouse: Record, default: Record, item: str, create: bool = False) -> Record:
        """Where goods of an item in a status lie at a place: the place itself, or for a status the location "PLACE/STATUS" below it.

        With `create` a missing location of a status is made. A code is looked for in the plant's warehouse first.
        """
        place = self._place(name, warehouse) if name else default
        if place is None or place.type != "storage":
            raise Refused(
                Category.UNKNOWN_LOCATION,
                subject.location(name),
                f"the location {name or 'of the warehouse'} is not a storage location in Tryton",
            )
        return self._of_status(place, status, item, create) if status else place

    def _place(self, name: str, warehouse: Record) -> Record:
        if (warehouse.id, name) not in self._locations:
            location = self.pool.get("stock.location")
            prefix, _, code = name.rpartition(":")
            domain: list[object] = [("code", "=", code), ("type", "=", "storage")]
            inside = location.search([("code", "=", prefix), ("type", "=", "warehouse")]) if prefix else [warehouse]
            found = location.search([*domain, ("parent", "child_of", [w.id for w in inside], "parent")], limit=2)
            if not found and not prefix:
                found = location.search(domain, limit=2)
            if len(found) != 1:
                what = "unknown in Tryton" if not found else "the code of several locations in Tryton"
                raise Refused(
                    Category.UNKNOWN_LOCATION,
                    subject.location(name),
                    f"the location {name} is {what}",
                    "give one storage location this code",
                )
            self._locations[warehouse.id, name] = found[0]
        return self._locations[warehouse.id, name]

    def _of_status(self, place: Record, status: str, item: str, create: bool) -> Record:
        location = self.pool.get("stock.location")
        code = f"{place.code}{HELD_BACK}{status}"
        found = location.search([("parent", "=", place.id), ("code", "=", code)], limit=1)
        if found:
            return found[0]
        if not create:
            raise Refused(
                Category.INSUFFICIENT_STOCK, subject.item(item), f"nothing of {item} lies at {place.code} with the status {status}"
            )
        return location.create([{"name": f"{place.name} ({status})", "code": code, "type": "storage", "parent": place.id}])[0]

    def waste(self, warehouse: Record) -> Record:
        """Where scrap of a warehouse goes; made when the warehouse has no waste location yet."""
        if warehouse.waste_locations:
            return warehouse.waste_locations[0]
        location = self.pool.get("stock.location")
        made = location.create(
            [
                {
                    "name": f"{warehouse.name} scrap",
                    "code": f"{warehouse.code}-SCRAP",
                    "type": "lost_found",
                    "waste_warehouses": [("add", [warehouse.id])],
                }
            ]
        )
        return made[0]

    def inventory_difference(self, warehouse: Record) -> Record:
        """The other side of an adjustment."""
        if warehouse.lost_found_location:
            return warehouse.lost_found_location
        found = self.pool.get("stock.location").search([("type", "=", "lost_found"), ("waste_warehouses", "=", None)], limit=1)
        if not found:
            raise Refused(
                Category.UNKNOWN_LOCATION,
                subject.warehouse(warehouse.code),
                "the warehouse has no lost and found location",
                "set one in Tryton",
            )
        return found[0]

    def unit(self, item: Record, quantity: Quantity) -> Record:
        """The unit of measure of a quantity, checked against the item's category and against rounding in both units."""
        found = self.pool.get("product.uom").search([("symbol", "=", units.symbol(quantity.unit))])
        usable = [u for u in found if u.category == item.default_uom.category]
        if len(usable) != 1:
            own = units.code(item.default_uom.symbol)
            raise Refused(
                Category.MISSING_UNIT,
                subject.unit(quantity.unit, item.code),
                f"{quantity.unit} can't be converted to {own}, the unit of the item {item.code}",
                "send the quantity in a unit of the same category, or add the unit to that category in Tryton",
            )
        unit = usable[0]
        self._check_rounding(item, unit, quantity)
        return unit

    def _check_rounding(self, item: Record, unit: Record, quantity: Quantity) -> None:
        amount = abs(quantity.amount)
        if amount != round(amount, unit.digits) or len(amount.normalize().as_tuple().digits) > MAX_EXACT_DIGITS:
            raise Refused(
                Category.INVALID,
                subject.item(item.code),
                f"{quantity} is finer than Tryton keeps {quantity.unit}: {unit.digits} decimals and {MAX_EXACT_DIGITS} digits",
                "round the quantity before posting",
            )
        if unit != item.default_uom and self.internal(item, unit, amount, exact=True) != self.internal(item, unit, amount):
            raise Refused(
                Category.INVALID,
                subject.item(item.code),
                f"{quantity} is finer than the item's own unit {units.code(item.default_uom.symbol)} can hold",
                "send a quantity that is whole in the item's unit",
            )

    def internal(self, item: Record, unit: Record, amount: Decimal, exact: bool = False) -> Decimal:
        """An amount in the item's own unit, as Tryton computes it; `exact` leaves out its rounding (to 9 decimals only)."""
        value = self.pool.get("product.uom").compute_qty(unit, float(amount), item.default_uom, round=not exact)
        return round(Decimal(repr(value)), 9).normalize()

    def lot(self, item: Record, number: str, create: bool) -> Record | None:
        """The lot of an item with this number. A lot that only `create` allows is made when the posting is written."""
        found = self.pool.get("stock.lot").search(
            [("product", "=", item.id), ("number", "=", number), ("active", "in", [True, False])], limit=2
        )
        if len(found) > 1:
            raise Refused(
                Category.INVALID,
                subject.lot(number, item.code),
                f"the item {item.code} has several lots with the number {number}",
                "merge the lots in Tryton",
            )
        if found and not found[0].active:
            raise Refused(
                Category.LOT_NOT_USABLE,
                subject.lot(number, item.code),
                f"the lot {number} is deactivated in Tryton",
                "activate the lot, or use another one",
            )
        if found:
            return found[0]
        if not create and (item.id, number) not in self._new_lots:
            raise Refused(
                Category.UNKNOWN_LOT, subject.lot(number, item.code), f"the item {item.code} has no lot {number}", "receive the lot first"
            )
        return None

    def check_date(self, effective: datetime.date) -> None:
        """Refuse a day in a closed stock period, which Tryton itself lets productions book into, and days that are to come."""
        if not self._periods_read:
            domain = [("state", "=", "closed"), ("company", "=", self.company)]
            periods = self.pool.get("stock.period").search(domain, order=[("date", "DESC")], limit=1)
            self._closed_through = periods[0].date if periods else None
            self._periods_read = True
        if self._closed_through is not None and effective <= self._closed_through:
            raise Refused(
                Category.CLOSED_PERIOD,
                subject.period(effective),
                f"the stock period through {self._closed_through} is closed, and the fact is of {effective}",
                "reopen the period in Tryton, or book on the first open day",
            )
        # Somewhere on earth it is already tomorrow; the day after is a wrong clock.
        if effective > self.pool.get("ir.date").today() + datetime.timedelta(days=1):
            raise Refused(
                Category.INVALID, subject.day(effective), f"the day {effective} lies in the future", "check the clock of the source"
            )

    def take(self, item: Record, place: Record, lot: str, amount: Decimal) -> None:
        """Reserve an amount, in the item's unit, within this request; refuse what is not there."""
        on_hand = self.on_hand(item, place, lot)
        if amount > on_hand:
            of_lot = f" of lot {lot}" if lot else ""
            unit = units.code(item.default_uom.symbol)
            raise Refused(
                Category.INSUFFICIENT_STOCK,
                subject.item(item.code),
                f"{plain(amount)} {unit} of {item.code}{of_lot} are wanted at {place.code}, and {plain(on_hand)} are there",
                "receive or transfer the missing quantity, or correct the report",
            )
        self.put(item, place, lot, -amount)

    def put(self, item: Record, place: Record, lot: str, amount: Decimal) -> None:
        """Note that this request moves an amount to a place, or away from it."""
        for name in {lot, ""}:
            key = (item.id, place.id, name)
            self._taken[key] = self._taken.get(key, Decimal(0)) + amount

    def on_hand(self, item: Record, place: Record, lot: str) -> Decimal:
        """What is done in the books at a place, of a lot or of all, with what this request has moved."""
        if item.id not in self._stock:
            self._stock[item.id] = self._read_stock(item)
        total = self._taken.get((item.id, place.id, lot), Decimal(0))
        wanted = self.lot(item, lot, create=True) if lot else None
        for (location, lot_id), quantity in self._stock[item.id].items():
            if location == place.id and (not lot or (wanted is not None and lot_id == wanted.id)):
                total += quantity
        return total

    def _read_stock(self, item: Record) -> dict[tuple[int, int | None], Decimal]:
        return {(location, lot): quantity for (location, _, lot), quantity in _done_stock([item.id]).items()}

    def expect_lot(self, item: Record, number: str) -> None:
        """Remember a lot that will be made when the postings of this request are written."""
        self._new_lots[item.id, number] = None

    def make_lots(self) -> None:
        """Make the lots that accepted postings need."""
        if self._new_lots:
            values = [{"product": product, "number": number} for product, number in self._new_lots]
            self.pool.get("stock.lot").create(values)
            self._new_lots.clear()

    def forget_stock(self) -> None:
        """After a write: read quantities anew, they now hold what this request moved."""
        self._stock.clear()
        self._taken.clear()


def stock_of(items: Sequence[str]) -> list[Stock]:
    """What all storage locations hold of the items with these codes, or of all items."""
    pool = Pool()
    product, lot = pool.get("product.product"), pool.get("stock.lot")
    wanted = [p.id for p in product.search([("code", "in", list(items)), ("active", "in", [True, False])])] if items else None
    rows = {key: quantity for key, quantity in _done_stock(wanted).items() if quantity} if wanted != [] else {}
    products = {p.id: p for p in product.browse({key[1] for key in rows})}
    lots = {found.id: found.number for found in lot.browse({key[2] for key in rows if key[2]})}
    return [
        Stock(place, products[item].code, lots.get(number or 0, ""), products[item].default_uom.symbol, quantity)
        for (place, item, number), quantity in rows.items()
        if products[item].code
    ]


def _done_stock(products: list[int] | None) -> dict[tuple[int, int, int | None], Decimal]:
    """By location, product and lot: all that is done, whatever its day."""
    pool = Pool()
    locations = pool.get("stock.location").search([("type", "=", "storage")])
    with Transaction().set_context(stock_date_end=datetime.date.max, forecast=False, stock_assign=False):
        rows = pool.get("product.product").products_by_location(
            [location.id for location in locations], grouping=("product", "lot"), grouping_filter=(products,) if products else None
        )
    return {key: Decimal(repr(quantity)) for key, quantity in rows.items()}

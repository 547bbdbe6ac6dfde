"""Balances and changes, read from a Tryton with or without the module by the calls that any client has.

Tryton tells no changes, so they are asked for by the time of their last modification. That time is the start of the transaction that
wrote: a slow one can appear behind a fast one that began later. Each question therefore overlaps the last one, and the cursor
remembers what was told within the overlap, so that nothing is told twice and nothing that took less than the overlap is missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Balance, Change, ConnectorError, Pulled
from synchromesh.connectors.tryton import units
from synchromesh.connectors.tryton.documents import Move, Ownership, tell_moves
from synchromesh.connectors.tryton.orders import tell_orders
from synchromesh.connectors.tryton.places import Places, read_places
from synchromesh.connectors.tryton.rpc import Json, Tryton, read_as, typed_time
from synchromesh.connectors.tryton.settings import Settings
from synchromesh.connectors.tryton.telling import change
from synchromesh.model.event import AlternativeUnit, ItemChanged, LocationChanged, PeriodChanged

OVERLAP: Final = timedelta(seconds=60)
"""How long a transaction may take and still be seen."""

PAGE: Final = 500
"""The most rows of one kind that one pull reads anew."""

_BEGINNING: Final = "2000-01-01T00:00:00.000000"
_FIRST_DAY: Final = "1900-01-01"


class _Seen(msgspec.Struct):
    """How far one kind of rows is told: the newest time, and the rows of the overlap before it with their times."""

    until: str = _BEGINNING
    rows: dict[int, str] = {}


class _Cursor(msgspec.Struct):
    v: int
    seen: dict[str, _Seen]


class _Touched(msgspec.Struct):
    id: int
    last_modified_at: str


class _Named(msgspec.Struct):
    symbol: str
    digits: int = 0
    category: int = 0
    factor: Decimal = Decimal(1)


class _Template(msgspec.Struct, rename={"unit": "default_uom."}):
    unit: _Named
    lot_required: list[str] | None = None


class _Product(msgspec.Struct, rename={"template_": "template."}):
    id: int
    template_: _Template
    code: str | None = None
    rec_name: str = ""


class _Period(msgspec.Struct):
    id: int
    date: str
    state: str


class _Stock(msgspec.Struct):
    id: int
    quantity: Decimal
    product: int = 0
    number: str = ""


class Reader:
    """Reads one Tryton. `ownership` knows which moves are postings of this connector."""

    def __init__(self, tryton: Tryton, settings: Settings, ownership: Ownership) -> None:
        self._tryton = tryton
        self._plants = {code: plant for plant, code in settings.plants.items()}
        self._ownership = ownership
        self._more = False

    # --- changes ----------------------------------------------------------------------------------------------------------

    async def pull(self, cursor: str) -> Pulled:
        """See `Connector.pull`. No changes means the end, so pages that hold only what is ours are passed over."""
        state = _read_cursor(cursor)
        while True:
            self._more = False
            changes = await self._step(state)
            if changes or not self._more:
                return Pulled(changes, msgspec.json.encode(state).decode())

    async def _step(self, state: _Cursor) -> list[Change]:
        """First the items, places and periods, then orders, then what others booked and cancelled."""
        places = await read_places(self._tryton)
        changes = self._places_changed(state, places)
        changes += await self._items_changed(state)
        changes += await self._told(state, "stock.period", self._periods)
        moves = await self._news(state, "stock.move")
        read = await self._moves(moves)
        orders = await self._news(state, "production")
        # Components are moves of their own: a production does not know when they change.
        for move in read:
            if move.production is not None and move.synchromesh == "":
                orders.setdefault(move.production, moves[move.id])
        changes += await tell_orders(self._tryton, orders, places, self._plants, self._ownership)
        changes += tell_moves(read, moves, places, self._plants)
        return changes

    async def _news(self, state: _Cursor, model: str) -> dict[int, str]:
        """Rows written since the cursor that were not told, with the time of their writing; moves the cursor on."""
        seen = state.seen.setdefault(model, _Seen())
        begin = (datetime.fromisoformat(seen.until) - OVERLAP).isoformat(timespec="microseconds")
        domain = [["last_modified_at", ">=", typed_time(begin)]]
        order = [["last_modified_at", "ASC"], ["id", "ASC"]]
        context: dict[str, Json] = {"active_test": False}
        method = f"model.{model}.search_read"
        limit = PAGE + len(seen.rows)
        found = await self._tryton.call_in(context, method, domain, 0, limit, order, ["last_modified_at"])
        rows = read_as(found, list[_Touched], f"changes of {model}")
        self._more |= len(rows) == limit
        fresh = {row.id: row.last_modified_at for row in rows if seen.rows.get(row.id) != row.last_modified_at}
        seen.rows |= fresh
        seen.until = max([seen.until, *fresh.values()])
        keep = (datetime.fromisoformat(seen.until) - OVERLAP).isoformat(timespec="microseconds")
        seen.rows = {row: time for row, time in seen.rows.items() if time >= keep}
        return fresh

    async def _told(self, state: _Cursor, model: str, tell: Callable[[dict[int, str]], Awaitable[list[Change]]]) -> list[Change]:
        fresh = await self._news(state, model)
        return await tell(fresh) if fresh else []

    def _places_changed(self, state: _Cursor, places: Places) -> list[Change]:
        """All locations are at hand: what the cursor does not know in this version is told."""
        seen = state.seen.setdefault("stock.location", _Seen())
        changes = []
        for place in places.all.values():
            if place.status or seen.rows.get(place.id) == place.modified:
                continue
            seen.rows[place.id] = place.modified
            event = LocationChanged(location=place.name, description=place.description)
            changes.append(change(event, place.name, place.modified, self._plants.get(place.warehouse, "")))
        return changes

    async def _items_changed(self, state: _Cursor) -> list[Change]:
        fresh = await self._news(state, "product.product")
        templates = await self._news(state, "product.template")
        if templates:
            domain: list[Json] = [["template", "in", [*templates]]]
            owners = await self._tryton.call("model.product.product.search_read", domain, 0, None, None, ["template"])
            for row in read_as(owners, list[dict[str, int]], "the products of templates"):
                fresh[row["id"]] = max(fresh.get(row["id"], ""), templates[row["template"]])
        if not fresh:
            return []
        fields = ["code", "rec_name", "template.lot_required", "template.default_uom.symbol", "template.default_uom.digits"]
        fields += ["template.default_uom.category", "template.default_uom.factor"]
        products = read_as(await self._tryton.call("model.product.product.read", [*fresh], fields), list[_Product], "the products")
        all_units = await self._units()
        told = sorted((p for p in products if p.code), key=lambda p: (fresh[p.id], p.id))
        return [change(_item(p, all_units), p.code or "", fresh[p.id]) for p in told]

    async def _units(self) -> list[_Named]:
        fields = ["symbol", "digits", "category", "factor"]
        rows = await self._tryton.call("model.product.uom.search_read", [], 0, None, [["id", "ASC"]], fields)
        return read_as(rows, list[_Named], "the units")

    async def _periods(self, fresh: dict[int, str]) -> list[Change]:
        """A stock period is a day through which the books close, so the period before it says where it begins."""
        company = await self._tryton.company()
        found = await self._tryton.call(
            "model.stock.period.search_read", [["company", "=", company]], 0, None, [["date", "ASC"]], ["date", "state"]
        )
        periods = read_as(found, list[_Period], "the stock periods")
        closed_through = max((p.date for p in periods if p.state == "closed"), default="")
        changes = []
        first = _FIRST_DAY
        for period in periods:
            data = {"first": first, "last": period.date, "open": period.date > closed_through}
            event = msgspec.convert(data, PeriodChanged)
            if period.id in fresh:
                changes.append(change(event, period.date, fresh[period.id]))
            first = (datetime.fromisoformat(period.date) + timedelta(days=1)).date().isoformat()
        return changes

    async def _moves(self, fresh: dict[int, str]) -> list[Move]:
        if not fresh:
            return []
        fields = [*Move.WANTED, *self._ownership.fields]
        moves = read_as(await self._tryton.call("model.stock.move.read", [*fresh], fields), list[Move], "the stock moves")
        return await self._ownership.mark(sorted(moves, key=lambda move: (fresh[move.id], move.id)))

    # --- balances ---------------------------------------------------------------------------------------------------------

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        """See `Connector.balances`: what is done in the books today, of every storage location of a warehouse."""
        places = await read_places(self._tryton)
        found: list[Balance] = []
        for place in places.all.values():
            if not place.warehouse:
                continue
            context: dict[str, Json] = {"locations": [place.id], "with_childs": False}
            domain: list[Json] = [["quantity", "!=", 0]]
            if items:
                domain.append(["code", "in", [*items]])
            rows = await self._tryton.call_in(context, "model.product.product.search_read", domain, 0, None, None, ["quantity"])
            products = {row.id: row.quantity for row in read_as(rows, list[_Stock], "the stock")}
            lots = await self._lots(context, products)
            names = await self._names(products)
            for product, lot, amount in _split(products, lots):
                if product in names:
                    code, unit = names[product]
                    found.append(Balance(code, place.name, units.quantity(amount, unit), lot, place.status))
        return sorted(found, key=lambda b: (b.item, b.location, b.status, b.lot))

    async def _lots(self, context: dict[str, Json], products: Iterable[int]) -> list[_Stock]:
        domain: list[Json] = [["product", "in", [*products]], ["quantity", "!=", 0]]
        fields = ["product", "number", "quantity"]
        context = context | {"active_test": False}
        rows = await self._tryton.call_in(context, "model.stock.lot.search_read", domain, 0, None, None, fields)
        return read_as(rows, list[_Stock], "the stock by lot")

    async def _names(self, products: Iterable[int]) -> dict[int, tuple[str, str]]:
        fields = ["code", "template.default_uom.symbol"]
        rows = read_as(await self._tryton.call("model.product.product.read", [*products], fields), list[_Product], "the products")
        return {row.id: (row.code, row.template_.unit.symbol) for row in rows if row.code}


def _split(products: dict[int, Decimal], lots: list[_Stock]) -> list[tuple[int, str, Decimal]]:
    """Stock by product and lot; what no lot holds is under ''."""
    of_lots: dict[int, Decimal] = defaultdict(Decimal)
    rows = []
    for lot in lots:
        of_lots[lot.product] += lot.quantity
        rows.append((lot.product, lot.number, lot.quantity))
    rest = ((product, quantity - of_lots[product]) for product, quantity in products.items())
    return rows + [(product, "", quantity) for product, quantity in rest if quantity]


def _item(product: _Product, all_units: list[_Named]) -> ItemChanged:
    own = product.template_.unit
    return ItemChanged(
        item=product.code or "",
        unit=units.code(own.symbol),
        description=product.rec_name,
        decimals=min(own.digits, 9),
        alternatives=tuple(_alternatives(own, all_units)),
        lot_controlled=bool(product.template_.lot_required),
    )


def _alternatives(own: _Named, all_units: list[_Named]) -> Iterable[AlternativeUnit]:
    """A site's own units of the same category. Those of Recommendation 20 have conversions that everybody knows."""
    for unit in all_units:
        if unit.category == own.category and unit.symbol not in units.CODES and unit.symbol != own.symbol and own.factor:
            numerator, denominator = (unit.factor / own.factor).as_integer_ratio()
            yield AlternativeUnit(unit=unit.symbol, numerator=numerator, denominator=denominator)


def _read_cursor(cursor: str) -> _Cursor:
    if not cursor:
        return _Cursor(1, {})
    try:
        return msgspec.json.decode(cursor, type=_Cursor)
    except msgspec.DecodeError as error:
        raise ConnectorError(f"the cursor is not one of Tryton's: {error}. Pull from the beginning, with an empty one.") from None

"""Postings on a production of a plain Tryton: begun in the journal, done in one call, judged by what is read back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import msgspec

from synchromesh.connectors.tryton.desk import Desk, Item, Production, Refused, Warehouse, in_own_unit
from synchromesh.connectors.tryton.documents import Move
from synchromesh.connectors.tryton.journal import Journal, Noted, document_on, was_withdrawn
from synchromesh.connectors.tryton.pressing import press
from synchromesh.connectors.tryton.rpc import Failed, Json, Tryton, Unclear, read_as, typed_date, typed_decimal
from synchromesh.connectors.tryton.wire import digest
from synchromesh.model import subject
from synchromesh.model.posting import Category, Line, Posting, PostingKind

_OPEN = frozenset({"staging", "draft", "assigned"})


class _Currency(msgspec.Struct):
    currency: int


class OnOrder:
    """Books on productions."""

    def __init__(self, tryton: Tryton) -> None:
        self._tryton = tryton
        self._journal = Journal(tryton)

    async def document(self, key: str) -> str:
        """The document of a key that is booked on any order, or ''."""
        for noted in await self._journal.find(key):
            production = await self._production(noted.resource)
            if await self._is_booked(noted, production):
                return document_on(production.number or "", noted)
        return ""

    async def is_output(self, desk: Desk, posting: Posting) -> bool:
        """Whether a scrap posting is of its order's output; of a component it is not on the order in Tryton."""
        if not posting.order:
            return False
        production = await desk.production(posting.order)
        kinds = {(await desk.item(line.item)).id == production.product for line in posting.lines}
        if len(kinds) > 1:
            raise Refused(
                Category.INVALID, subject.about(posting), "A scrap posting is either of output or of components.", "Post them separately."
            )
        return kinds == {True}

    async def book(self, desk: Desk, posting: Posting) -> str:
        """Book, or go on with what was begun under the same key."""
        production = await desk.production(posting.order)
        begun = await self._journal.on([f"production,{production.id}"], posting.key)
        for noted in begun:
            if noted.entry.digest != digest(posting):
                remedy = "Give changed content a key of its own."
                raise Refused(
                    Category.DUPLICATE, subject.posting(posting.key), f"The key {posting.key} was begun with other content.", remedy
                )
            if await self._is_booked(noted, production):
                return document_on(production.number or "", noted)
        desk.check_released(production, posting.order)
        await desk.check_day(posting.effective)
        if posting.kind in {PostingKind.CONFIRMATION, PostingKind.COMPLETION}:
            noted = begun[-1] if begun else await self._journal.write(f"production,{production.id}", posting, [])
            if posting.kind is PostingKind.COMPLETION:
                await self._complete(desk, production, posting)
        else:
            noted = await self._book_moves(desk, posting, production, begun)
        return document_on(production.number or "", noted)

    async def check(self, posting: Posting) -> None:
        """Look again at what Tryton has failed on: raises `Refused` where the reason can be seen in its books by now."""
        desk = Desk(self._tryton)
        production = await desk.production(posting.order)
        desk.check_released(production, posting.order)
        await desk.check_day(posting.effective)
        if posting.kind is PostingKind.ISSUE:
            warehouse = await desk.warehouse_of(production)
            for line in posting.lines:
                await self._values(desk, posting, line, production, warehouse)

    # --- moves ------------------------------------------------------------------------------------------------------------

    async def _book_moves(self, desk: Desk, posting: Posting, production: Production, begun: list[Noted]) -> Noted:
        warehouse = await desk.warehouse_of(production)
        values = [await self._values(desk, posting, line, production, warehouse) for line in posting.lines]
        if not values:
            raise Refused(Category.INVALID, subject.about(posting), f"A posting of the kind {posting.kind} needs lines.")
        usable = [noted for noted in begun if len(noted.entry.moves) == len(values)]
        noted = usable[-1] if usable else await self._begin(posting, production, values)
        try:
            await self._do(posting, production, noted, values)
        except Refused:
            await self._take_back(noted)
            raise
        except Failed:
            # Tryton rolled the last call back; what was begun is still a draft.
            await self._take_back(noted)
            raise
        return noted

    async def _values(self, desk: Desk, posting: Posting, line: Line, production: Production, warehouse: Warehouse) -> dict[str, Json]:
        """A line as the values of its move, checked."""
        if line.quantity.amount <= 0 or line.owner:
            what = "other owners' stock" if line.owner else "lines without or with a negative quantity"
            raise Refused(
                Category.INVALID, subject.item(line.item), f"A Tryton without the module can't book {what}.", "Reverse and post anew."
            )
        item = await desk.item(line.item)
        unit = await desk.unit(item, line.quantity)
        issue = posting.kind is PostingKind.ISSUE
        if posting.kind is PostingKind.SCRAP:
            place = await self._waste(warehouse)
        else:
            default = warehouse.production_picking_location if issue else warehouse.production_output_location
            usual = default or warehouse.storage_location
            place = await desk.place(line.location, line.status, warehouse, usual, item=line.item, create=not issue)
        if not line.lot and item.lot_required and {"storage", "production"} & {*item.lot_required}:
            raise Refused(
                Category.UNKNOWN_LOT,
                subject.item(item.code),
                f"The item {item.code} is kept by lot, and the line names none.",
                "Name the lot.",
            )
        lot = await desk.lot(item, line.lot, create=not issue) if line.lot else None
        if issue:
            await desk.check_stock(item, place, lot, self._wanted(posting, item, line, in_own_unit(item, unit, line.quantity.amount)))
        values: dict[str, Json] = {
            "product": item.id,
            "unit": unit.id,
            "quantity": float(line.quantity.amount),
            "from_location": place if issue else production.location,
            "to_location": production.location if issue else place,
            "company": await self._tryton.company(),
            "lot": lot,
            "production_input" if issue else "production_output": production.id,
        }
        if posting.kind is PostingKind.RECEIPT:
            values |= await self._price(item)
        return values

    @staticmethod
    def _wanted(posting: Posting, item: Item, line: Line, amount: Decimal) -> Decimal:
        """What the lines of one place and lot want together; lines in different units count alone."""
        same = [
            other.quantity.amount
            for other in posting.lines
            if (other.item, other.location, other.status, other.lot, other.quantity.unit)
            == (line.item, line.location, line.status, line.lot, line.quantity.unit)
        ]
        return amount * sum(same) / line.quantity.amount

    async def _price(self, item: Item) -> dict[str, Json]:
        """Known only when the production is done; until then the item's own cost, so that its average is not diluted by zero."""
        company = await self._tryton.call("model.company.company.read", [await self._tryton.company()], ["currency"])
        currency = read_as(company, list[_Currency], "the company")[0].currency
        return {"unit_price": typed_decimal(item.cost_price or Decimal(0)), "currency": currency}

    async def _waste(self, warehouse: Warehouse) -> int:
        if warehouse.waste_locations:
            return warehouse.waste_locations[0]
        values: Json = {
            "name": f"{warehouse.code} scrap",
            "code": f"{warehouse.code}-SCRAP",
            "type": "lost_found",
            "waste_warehouses": [["add", [warehouse.id]]],
        }
        return read_as(await self._tryton.call("model.stock.location.create", [values]), list[int], "a location")[0]

    async def _begin(self, posting: Posting, production: Production, values: list[dict[str, Json]]) -> Noted:
        """Drafts of nothing, then the entry that names them: between the two a crash leaves drafts that move nothing, whoever does them."""
        drafts: Json = [value | {"quantity": 0.0} for value in values]
        moves = read_as(await self._tryton.call("model.stock.move.create", drafts), list[int], "the moves")
        return await self._journal.write(f"production,{production.id}", posting, moves)

    async def _do(self, posting: Posting, production: Production, noted: Noted, values: list[dict[str, Json]]) -> None:
        moves = noted.entry.moves
        if posting.kind is PostingKind.ISSUE:
            # Releases what is reserved, so that the moves may be changed and the order be reserved anew.
            await press(self._tryton, "production.wait", [production.id])
        day = typed_date(posting.effective.isoformat())
        pairs: list[Json] = []
        for move, value in zip(moves, values, strict=True):
            pairs += [[move], {"quantity": value["quantity"], "effective_date": day}]
        await self._tryton.call("model.stock.move.write", *pairs)
        if posting.kind is PostingKind.ISSUE:
            await press(self._tryton, "production.assign_try", [production.id])
            if any(move.state != "assigned" for move in await self._read(moves)):
                raise Refused(
                    Category.INSUFFICIENT_STOCK, subject.item(posting.lines[0].item), "Tryton can't reserve what the posting takes."
                )
        await press(self._tryton, "stock.move.do", moves)
        await self._check_done(noted, values)

    async def _check_done(self, noted: Noted, values: list[dict[str, Json]]) -> None:
        read = {move.id: move for move in await self._read(noted.entry.moves)}
        for i, value in zip(noted.entry.moves, values, strict=True):
            if i not in read or read[i].state != "done" or float(read[i].quantity) != value["quantity"]:
                raise Unclear("Tryton raised no error, and its books do not hold the moves as they were sent")

    async def _take_back(self, noted: Noted) -> None:
        """Remove the drafts of a posting that is refused, with what reserving split off them."""
        moves = await self._read(noted.entry.moves)
        if any(move.state not in _OPEN for move in moves):
            return
        reserved = [move.id for move in moves if move.state == "assigned"]
        if reserved:
            await press(self._tryton, "stock.move.draft", reserved)
        await self._tryton.call("model.stock.move.delete", [move.id for move in moves])
        await self._journal.erase(noted)

    # --- completion, reversal ---------------------------------------------------------------------------------------------

    async def _complete(self, desk: Desk, production: Production, posting: Posting) -> None:
        """Close a production at what was booked: what is only planned is cancelled, then it runs through to done. An order that somebody
        has changed since it was looked at is left as it is (`Changed`)."""
        moves = await self._read([*production.inputs, *production.outputs])
        days = [posting.effective.isoformat(), *(move.effective_date for move in moves if move.state == "done" and move.effective_date)]
        first, last = typed_date(min(days)), typed_date(max(days))
        values: Json = {"effective_start_date": first, "effective_date": last}
        if production.state != "running":
            seen: Json = {f"production,{production.id}": production.timestamp}
            await self._tryton.call_in({"_timestamp": seen}, "model.production.write", [production.id], values)
        planned = [move for move in moves if move.state in _OPEN]
        if planned:
            await self._empty_unlotted(desk, planned)
            await press(self._tryton, "stock.move.cancel", [move.id for move in planned])
        if production.state != "running":
            if production.state == "waiting":
                await press(self._tryton, "production.assign_try", [production.id])
            await press(self._tryton, "production.run", [production.id])
        await press(self._tryton, "production.do", [production.id])
        now = await self._production(f"production,{production.id}")
        if now.state != "done":
            sentence = f"Tryton raised no error, and the production {posting.order} is {now.state}."
            raise Refused(
                Category.INVALID, subject.order(posting.order), sentence, "Look what the production waits for, such as a quality check."
            )

    async def _empty_unlotted(self, desk: Desk, planned: list[Move]) -> None:
        """Let planned moves of what is kept by lot move nothing: else Tryton asks for the lots of cancelled ones when the order is done."""
        unlotted = [m for m in planned if not m.lot_ and m.product_.code and (await desk.item(m.product_.code)).lot_required]
        reserved = [move.id for move in unlotted if move.state == "assigned"]
        if reserved:
            await press(self._tryton, "stock.move.draft", reserved)
        if unlotted:
            await self._tryton.call("model.stock.move.write", [move.id for move in unlotted], {"quantity": 0.0})

    async def reverse(self, desk: Desk, posting: Posting) -> str:
        """Cancel the moves of an earlier posting, or strike a confirmation."""
        original = await self._original(posting)
        production = await self._production(original.resource)
        entries = await self._journal.on([original.resource])
        own = [n for n in entries if n.entry.key == posting.key]
        moves = await self._read(original.entry.moves)
        if own and await self._is_booked(own[-1], production):
            return document_on(production.number or "", own[-1])
        names = {original.entry.key, document_on(production.number or "", original)}
        name = document_on(production.number or "", original)
        others = any(n.entry.reverses in names for n in entries if n.entry.key != posting.key)
        if others or any(move.state != "done" for move in moves):
            raise Refused(Category.INVALID, subject.document(name), f"The document {name} was reversed or cancelled before.")
        if original.entry.kind in {PostingKind.COMPLETION, PostingKind.REVERSAL}:
            raise Refused(
                Category.NOT_PERMITTED,
                subject.document(name),
                f"Tryton can't take back a {original.entry.kind}.",
                "Correct it by hand in Tryton.",
            )
        desk.check_released(production, posting.order or name)
        for move in moves:
            await self._check_cancellable(desk, move)
        noted = own[-1] if own else await self._journal.write(original.resource, posting, original.entry.moves)
        if moves:
            await press(self._tryton, "stock.move.cancel", [move.id for move in moves])
            if not await self._is_booked(noted, production):
                raise Unclear("Tryton raised no error, and its books still hold the moves")
        return document_on(production.number or "", noted)

    async def _original(self, posting: Posting) -> Noted:
        key, number = posting.reverses, posting.reverses_document
        found: list[Noted] = []
        if posting.order:
            production = await Desk(self._tryton).production(posting.order)
            entries = await self._journal.on([f"production,{production.id}"])
            found = [n for n in entries if n.entry.key == key or document_on(production.number or "", n) == number]
        if not found and key:
            found = await self._journal.find(key)
        for noted in found:
            if await self._is_booked(noted, await self._production(noted.resource)) or noted.entry.moves:
                return noted
        name = key or number
        what = subject.document(number) if number else subject.posting(key)
        raise Refused(Category.INVALID, what, f"No posting with the key or number {name} is booked, so there is nothing to reverse.")

    async def _check_cancellable(self, desk: Desk, move: Move) -> None:
        """A cancellation changes the books of the day of the move, and takes back what came into stock with it."""
        if move.effective_date:
            await desk.check_day(date.fromisoformat(move.effective_date))
        places = await desk.places()
        if move.to_location in places.all and move.product_.code:
            item = await desk.item(move.product_.code)
            lot = await desk.lot(item, move.lot_.number, create=False) if move.lot_ else None
            await desk.check_stock(item, move.to_location, lot, move.internal_quantity)

    # --- reading ----------------------------------------------------------------------------------------------------------

    async def _is_booked(self, noted: Noted, production: Production) -> bool:
        entry = noted.entry
        if entry.kind is PostingKind.CONFIRMATION:
            return True
        if entry.kind is PostingKind.COMPLETION:
            return production.state == "done"
        moves = await self._read(entry.moves)
        if entry.kind is PostingKind.REVERSAL:
            return all(move.state == "cancelled" for move in moves)
        return bool(moves) and all(move.state == "done" or was_withdrawn(move) for move in moves)

    async def _production(self, resource: str) -> Production:
        rows = await self._tryton.call("model.production.read", [int(resource.partition(",")[2])], Production.wanted())
        return read_as(rows, list[Production], "the order")[0]

    async def _read(self, moves: Iterable[int]) -> list[Move]:
        wanted = [*moves]
        if not wanted:
            return []
        rows = await self._tryton.call("model.stock.move.search_read", [["id", "in", wanted]], 0, None, [["id", "ASC"]], [*Move.WANTED])
        return read_as(rows, list[Move], "the moves")

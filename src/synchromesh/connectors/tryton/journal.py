"""The journal that makes a plain Tryton askable: a note on each order and shipment for every posting that was begun there.

A stock move has no field that could hold a key, so a note (`ir.note`) on its production names the key and the moves. It is written while
the moves still have the quantity zero and are drafts: whatever breaks off between two calls leaves nothing in the books that the journal
does not know. People see the notes on the production.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from synchromesh.connectors.tryton.documents import Move
from synchromesh.connectors.tryton.rpc import Json, Tryton, read_as
from synchromesh.connectors.tryton.wire import digest
from synchromesh.model.posting import Posting, PostingKind

_FIRST_LINE = "Synchromesh"
_PAGE = 500


class Entry(msgspec.Struct, frozen=True):
    """One posting that was begun: its moves on the order, and for a reversal the key that it reverses."""

    key: str
    kind: PostingKind
    digest: str
    moves: list[int] = []
    reverses: str = ""


class Noted(msgspec.Struct, frozen=True):
    """An entry with its note's id and the record that it is on, such as "production,7"."""

    note: int
    resource: str
    entry: Entry


class _Note(msgspec.Struct):
    id: int
    message: str
    resource: str


class _Id(msgspec.Struct):
    id: int


class Journal:
    """Reads and writes the notes."""

    def __init__(self, tryton: Tryton) -> None:
        self._tryton = tryton

    async def write(self, resource: str, posting: Posting, moves: Sequence[int]) -> Noted:
        """Note that a posting is begun."""
        entry = Entry(posting.key, posting.kind, digest(posting), [*moves], posting.reverses or posting.reverses_document)
        message = f"{_FIRST_LINE} {posting.kind} {posting.key}\n{msgspec.json.encode(entry).decode()}"
        values: Json = {"resource": resource, "message": message}
        note = read_as(await self._tryton.call("model.ir.note.create", [values]), list[int], "a note")[0]
        return Noted(note, resource, entry)

    async def erase(self, noted: Noted) -> None:
        """Forget a posting that was begun and is not booked."""
        await self._tryton.call("model.ir.note.delete", [noted.note])

    async def on(self, resources: Sequence[str], key: str = "") -> list[Noted]:
        """The entries on these records, the oldest first; only those of a key if one is given."""
        if not resources:
            return []
        domain: list[Json] = [["resource", "in", [*resources]], ["message", "like", f"{_FIRST_LINE} %"]]
        if key:
            # An underscore or percent sign in the key only widens the question; the entries are compared in full.
            domain.append(["message", "like", f"%{key}%"])
        rows = await self._tryton.call("model.ir.note.search_read", domain, 0, None, [["id", "ASC"]], ["message", "resource"])
        found = [noted for row in read_as(rows, list[_Note], "the notes") if (noted := _parse(row))]
        return [noted for noted in found if not key or noted.entry.key == key]

    async def find(self, key: str) -> list[Noted]:
        """The entries of a key on any order. Tryton lets only administrators search notes without naming records, so the orders are
        asked page by page, the newest first."""
        before: list[Json] = []
        while True:
            rows = await self._tryton.call("model.production.search_read", before, 0, _PAGE, [["id", "DESC"]], ["id"])
            orders = [row.id for row in read_as(rows, list[_Id], "the orders")]
            found = await self.on([f"production,{order}" for order in orders], key)
            if found or len(orders) < _PAGE:
                return found
            before = [["id", "<", orders[-1]]]


def _parse(row: _Note) -> Noted | None:
    """The entry of a note; nothing when a person wrote or changed it."""
    first, _, content = row.message.partition("\n")
    if not first.startswith(f"{_FIRST_LINE} "):
        return None
    try:
        return Noted(row.id, row.resource, msgspec.json.decode(content, type=Entry))
    except msgspec.DecodeError:
        return None


class JournalOwnership:
    """Without the module the journal knows which moves of an order are postings; an internal shipment is one if this user made it.

    A move was in the books if its cost was fixed, which happens when it is done; scrap of output has no cost, so a cancelled one counts.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, tryton: Tryton) -> None:
        self._tryton = tryton
        self._journal = Journal(tryton)

    async def mark(self, moves: list[Move]) -> list[Move]:
        """See `Ownership.mark`."""
        user = await self._tryton.user()
        orders = sorted({f"production,{move.production}" for move in moves if move.production is not None})
        document = {i: document_on(order, noted) for order, noted in await self._entries(orders) for i in noted.entry.moves}
        shipments = await self._numbers({move.shipment for move in moves if move.shipment and move.create_uid == user})
        for move in moves:
            move.synchromesh = document.get(move.id) or shipments.get(move.shipment or "", "")
            move.withdrawn = was_withdrawn(move) and move.write_uid != user
        return moves

    async def _entries(self, orders: list[str]) -> list[tuple[str, Noted]]:
        noted = await self._journal.on(orders)
        numbers = await self._order_numbers({n.resource for n in noted})
        return [(numbers[n.resource], n) for n in noted if n.entry.kind is not PostingKind.REVERSAL]

    async def _order_numbers(self, resources: set[str]) -> dict[str, str]:
        ids = sorted(int(resource.partition(",")[2]) for resource in resources)
        rows = await self._tryton.call("model.production.read", ids, ["number"]) if ids else []
        return {f"production,{row.id}": row.number for row in read_as(rows, list[_Numbered], "the orders")}

    async def _numbers(self, shipments: set[str]) -> dict[str, str]:
        ids = sorted(int(s.partition(",")[2]) for s in shipments if s.startswith("stock.shipment.internal,"))
        rows = await self._tryton.call("model.stock.shipment.internal.read", ids, ["number"]) if ids else []
        return {f"stock.shipment.internal,{row.id}": row.number for row in read_as(rows, list[_Numbered], "the shipments")}


class _Numbered(msgspec.Struct):
    id: int
    number: str


def document_on(order: str, noted: Noted) -> str:
    """The document number of a posting on an order: productions have no documents of their own below them."""
    return f"{order}/{noted.note}"


def was_withdrawn(move: Move) -> bool:
    """Whether a cancelled move had been in the books."""
    return move.state == "cancelled" and move.effective_date is not None and (move.cost_price is not None or bool(move.production_output))

"""The connector to a plain Tryton, without the module: each posting is a machine of several calls over Tryton's own state.

What a posting becomes:

- issue, receipt, scrap of an order's output: moves of the production, made as drafts with the quantity zero, entered in the journal
  (`journal`), filled, and done in one call that Tryton executes wholly or not at all
- transfer, adjustment, scrap of a component: an internal shipment, whose reference is the key
- completion: the production, run and done; confirmation: an entry in the journal only, since a plain Tryton has no operations
- reversal: of moves of a production, their cancellation; of a shipment, a shipment back

A call that breaks off leaves drafts, which nobody can take for booked; `post` with the same key goes on from there. Not possible here:
negative lines other than adjustments; several pairs of locations in one shipment; taking back completions; stock of other owners. An
issue asks Tryton to reserve for the whole order, so the order's other planned inputs may be reserved too. One sender at a time: two at
once could begin the same posting twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from synchromesh.connectors.agreement import Abilities, Balance, ConnectorError, Finding, FindingState, Grade, OrderTotal, Pulled
from synchromesh.connectors.tryton import replies
from synchromesh.connectors.tryton.desk import Desk, Refused
from synchromesh.connectors.tryton.journal import JournalOwnership
from synchromesh.connectors.tryton.on_order import OnOrder
from synchromesh.connectors.tryton.reading import Reader
from synchromesh.connectors.tryton.rpc import Failed, Tryton
from synchromesh.connectors.tryton.settings import Settings
from synchromesh.connectors.tryton.shipped import Shipped
from synchromesh.connectors.tryton.totals import order_totals
from synchromesh.model.posting import Fate, Posting, PostingKind, Reply


class AskableConnector:
    """Grade askable: see the module's text."""

    def __init__(self, settings: Settings) -> None:
        self.abilities = Abilities(grade=Grade.ASKABLE, kinds=frozenset(PostingKind), settle_seconds=settings.timeout)
        self._settings = settings
        self._tryton = Tryton(settings)
        self._reader = Reader(self._tryton, settings, JournalOwnership(self._tryton))
        self._on_order = OnOrder(self._tryton)
        self._shipped = Shipped(self._tryton)

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        """See `Connector.post`."""
        return [await self._post(posting) for posting in postings]

    async def _post(self, posting: Posting) -> Reply:
        try:
            document = await self._book(posting)
        except Refused as refused:
            return Reply(posting.key, Fate.REJECTED, refusal=refused.refusal)
        except Failed as error:
            return await self._failed(posting, error)
        except ConnectorError as error:
            return replies.undone(posting, error)
        return self._posted(posting.key, document)

    async def _failed(self, posting: Posting, error: Failed) -> Reply:
        """Tryton refused in words that only a person understands. What has changed since it was checked is seen by checking again."""
        try:
            if posting.order and posting.kind is not PostingKind.REVERSAL:
                await self._on_order.check(posting)
        except Refused as refused:
            return Reply(posting.key, Fate.REJECTED, refusal=msgspec.structs.replace(refused.refusal, detail=error.detail))
        except ConnectorError:
            pass  # then there are only Tryton's own words
        return replies.failed(posting, error)

    async def _book(self, posting: Posting) -> str:
        """Book a posting, or go on with it, and name its document."""
        desk = Desk(self._tryton)
        booked = await self._shipped.document(posting.key)
        if booked:
            return booked
        warehouse = self._settings.warehouse_of(posting.plant)
        if posting.kind is PostingKind.REVERSAL:
            original = await self._shipped.find(posting.reverses, posting.reverses_document)
            if original is not None:
                return await self._shipped.reverse(desk, posting, original)
            return await self._on_order.reverse(desk, posting)
        if posting.kind in {PostingKind.TRANSFER, PostingKind.ADJUSTMENT}:
            return await self._shipped.book(desk, posting, await desk.warehouse(warehouse))
        if posting.kind is PostingKind.SCRAP and not await self._on_order.is_output(desk, posting):
            return await self._shipped.book(desk, posting, await desk.warehouse(warehouse))
        return await self._on_order.book(desk, posting)

    def _posted(self, key: str, document: str) -> Reply:
        return Reply(key, Fate.POSTED, document=document)

    async def find(self, key: str) -> Finding:
        """See `Connector.find`. What was only begun is absent: nothing of it is in the books."""
        document = await self._shipped.document(key) or await self._on_order.document(key)
        return Finding(FindingState.BOOKED, self._posted(key, document)) if document else Finding(FindingState.ABSENT)

    async def pull(self, cursor: str) -> Pulled:
        """See `Connector.pull`."""
        return await self._reader.pull(cursor)

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        """See `Connector.balances`."""
        return await self._reader.balances(items)

    async def order_totals(self, orders: Sequence[str]) -> list[OrderTotal]:
        """See `TellsOrders.order_totals`."""
        return await order_totals(self._tryton, orders)

    async def close(self) -> None:
        """See `Connector.close`."""
        await self._tryton.close()

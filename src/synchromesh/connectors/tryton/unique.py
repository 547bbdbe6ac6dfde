"""The connector to a Tryton with the `synchromesh` module: one call books a list, each posting once under its unique key."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from synchromesh.connectors.agreement import Abilities, Balance, ConnectorError, Finding, FindingState, Grade, OrderTotal, Pulled
from synchromesh.connectors.tryton import replies, units
from synchromesh.connectors.tryton.documents import ModuleOwnership
from synchromesh.connectors.tryton.places import read_places
from synchromesh.connectors.tryton.reading import Reader
from synchromesh.connectors.tryton.rpc import Failed, Tryton, read_as
from synchromesh.connectors.tryton.settings import Settings
from synchromesh.connectors.tryton.totals import order_totals
from synchromesh.connectors.tryton.wire import MODEL, Answer, Envelope, Stock
from synchromesh.model.posting import Fate, Posting, PostingKind, Reply


class UniqueConnector:
    """Grade unique: the module's constraint on the key makes any repetition harmless, and `find` answers at once."""

    def __init__(self, settings: Settings) -> None:
        self.abilities = Abilities(grade=Grade.UNIQUE, kinds=frozenset(PostingKind), batch=settings.batch, concurrency=1, differences=True)
        self._settings = settings
        self._tryton = Tryton(settings)
        self._reader = Reader(self._tryton, settings, ModuleOwnership())

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        """See `Connector.post`. One transaction for the list; when Tryton itself fails in it, nothing of the list is booked and each
        posting is sent alone, so that only the one that Tryton fails on is rejected."""
        try:
            return await self._send(postings)
        except Failed as error:
            if len(postings) == 1:
                return [replies.failed(postings[0], error)]
        return [await self._alone(posting) for posting in postings]

    async def _alone(self, posting: Posting) -> Reply:
        try:
            return (await self._send([posting]))[0]
        except Failed as error:
            return replies.failed(posting, error)

    async def _send(self, postings: Sequence[Posting]) -> list[Reply]:
        envelopes = [msgspec.to_builtins(Envelope(p, self._settings.warehouse_of(p.plant))) for p in postings]
        try:
            result = await self._tryton.call(f"model.{MODEL}.post", envelopes)
            answers = read_as(result, list[Answer], "a posting")
        except Failed:
            raise
        except ConnectorError as error:
            return [replies.undone(posting, error) for posting in postings]
        if [a.key for a in answers] != [p.key for p in postings]:
            return [Reply(posting.key, Fate.DOUBT) for posting in postings]
        return [self._reply(answer) for answer in answers]

    def _reply(self, answer: Answer) -> Reply:
        if answer.refusal is not None:
            return Reply(answer.key, Fate.REJECTED, refusal=answer.refusal)
        link = replies.link(self._settings, MODEL, answer.record)
        return Reply(answer.key, Fate.POSTED, document=answer.document, link=link)

    async def find(self, key: str) -> Finding:
        """See `Connector.find`."""
        result = await self._tryton.call(f"model.{MODEL}.find", key)
        if result is None:
            return Finding(FindingState.ABSENT)
        return Finding(FindingState.BOOKED, self._reply(read_as(result, Answer, "find")))

    async def pull(self, cursor: str) -> Pulled:
        """See `Connector.pull`."""
        return await self._reader.pull(cursor)

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        """See `Connector.balances`."""
        rows = read_as(await self._tryton.call(f"model.{MODEL}.balances", [*items]), list[Stock], "the stock")
        places = (await read_places(self._tryton)).all
        found = [
            Balance(row.item, place.name, units.quantity(row.quantity, row.symbol), row.lot, place.status)
            for row in rows
            if (place := places.get(row.location)) and place.warehouse
        ]
        return sorted(found, key=lambda b: (b.item, b.location, b.status, b.lot))

    async def order_totals(self, orders: Sequence[str]) -> list[OrderTotal]:
        """See `TellsOrders.order_totals`."""
        return await order_totals(self._tryton, orders)

    async def close(self) -> None:
        """See `Connector.close`."""
        await self._tryton.close()

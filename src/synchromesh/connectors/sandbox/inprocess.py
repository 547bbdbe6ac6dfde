"""The sandbox without a network: a connector straight onto a counter, for the simulator. No clock, no sleep, no chance but the seed's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from synchromesh.connectors.agreement import Abilities, Balance, ConnectorError, Finding, OrderTotal, Pulled
from synchromesh.connectors.sandbox import refusals
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.counter import Counter
from synchromesh.connectors.sandbox.faults import Fault, Faults
from synchromesh.model.posting import Fate, Posting, Reply

BATCH = 100
RETRY_AFTER = 1.0


class InProcess:
    """A `Connector`. `clock` gives the time of each call; between calls `counter.advance(now)` lets late things happen."""

    def __init__(self, books: Books, faults: Faults, clock: Callable[[], datetime]) -> None:
        rules = books.rules
        self.counter = Counter(books, faults)
        self.abilities = Abilities(
            grade=rules.grade,
            kinds=rules.kinds,
            batch=BATCH,
            concurrency=8,
            settle_seconds=faults.delay.total_seconds(),
            differences=rules.differences,
        )
        self._clock = clock
        self.down = False
        """Whether nobody listens: it is being restarted."""

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        if self.down:
            return [Reply(posting.key, Fate.RETRY, refusal=refusals.unavailable("", "nobody listens")) for posting in postings]
        heard = self.counter.take(postings, self._clock())
        if heard.replies is not None:
            return heard.replies
        refusal = refusals.unavailable("", f"{heard.fault}")
        if heard.fault is Fault.UNAVAILABLE:
            return [Reply(posting.key, Fate.RETRY, refusal=refusal, retry_after=RETRY_AFTER) for posting in postings]
        return [Reply(posting.key, Fate.DOUBT, refusal=refusal) for posting in postings]

    async def find(self, key: str) -> Finding:
        return self._asked().find(key)

    async def pull(self, cursor: str) -> Pulled:
        try:
            return self._asked().pull(cursor)
        except ValueError as error:
            raise ConnectorError(str(error)) from error

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        return list(self._asked().balances(items))

    async def order_totals(self, orders: Sequence[str]) -> list[OrderTotal]:
        """See `TellsOrders.order_totals`."""
        return list(self._asked().order_totals(orders))

    async def close(self) -> None:
        """There is nothing to let go of: the books belong to the caller."""

    def _asked(self) -> Books:
        self.counter.advance(self._clock())
        if self.down:
            raise ConnectorError("the sandbox is not there; see that it runs")
        if self.counter.faults.for_question():
            raise ConnectorError("the sandbox is unavailable just now; ask again later")
        return self.counter.books

"""The sandbox as a server of its own: senders' routes, and an administrator's under /admin.

    POST /postings          a JSON list of postings; replies in the same order
    GET  /postings/KEY      what became of a key
    GET  /changes?cursor=   what changed since the cursor
    GET  /balances?item=    stock, of all items or those named
    GET  /totals?order=     what was received, issued and scrapped for the named orders
    GET  /documents?after=  documents, at most 1,000 a page; /documents/NUMBER is one
    GET  /orders/ORDER      what an order has seen
    GET  /count             how many documents there are
    POST /admin/items, locations, orders, periods, stock, lots   lists of master data
    POST /admin/book-by-hand, cancel                             what people do at the ERP's own screen
    POST /admin/faults      {"arm": [...], "rates": {...}}
    POST /admin/settle      everything that is still due happens now
    GET  /admin/keys/KEY    an auditor's look: documents by key, also of a blind system

An answer leaves only when the journal holds what it tells. A sender that states its grade in the header `sandbox-grade` is refused with
409 where the server's is another. Listens on 127.0.0.1 alone: it has no authentication.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice

import msgspec

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.counter import Counter, Heard
from synchromesh.connectors.sandbox.faults import Fault, Faults
from synchromesh.connectors.sandbox.journal import Journal, JournalError
from synchromesh.connectors.sandbox.records import (
    Document,
    Entry,
    ErpLocation,
    ErpOrder,
    HandBooking,
    HandCancel,
    LotMarked,
    Refused,
    StockSet,
)
from synchromesh.connectors.sandbox.wire import Answer, Request, json_answer, problem
from synchromesh.model.event import ItemChanged, PeriodChanged
from synchromesh.model.posting import Posting

MAX_POSTINGS = 1_000
PAGE = 1_000


class Orders(msgspec.Struct, forbid_unknown_fields=True):
    """What an administrator asks of the faults: `arm` for the next requests or postings, in this order; `rates` from now on."""

    arm: list[Fault] = []
    rates: dict[Fault, float] | None = None


_POSTINGS = msgspec.json.Decoder(list[Posting])
_ORDERS = msgspec.json.Decoder(Orders)
_MASTER: dict[str, msgspec.json.Decoder[list[Entry]]] = {
    "items": msgspec.json.Decoder(list[ItemChanged]),
    "locations": msgspec.json.Decoder(list[ErpLocation]),
    "orders": msgspec.json.Decoder(list[ErpOrder]),
    "periods": msgspec.json.Decoder(list[PeriodChanged]),
    "stock": msgspec.json.Decoder(list[StockSet]),
    "lots": msgspec.json.Decoder(list[LotMarked]),
    "book-by-hand": msgspec.json.Decoder(list[HandBooking]),
    "cancel": msgspec.json.Decoder(list[HandCancel]),
}


class Server:
    """Answers requests from one counter. `crash` is called with the reason when the journal fails: the books are then ahead of the disk."""

    def __init__(
        self,
        books: Books,
        faults: Faults,
        *,
        journal: Journal | None,
        crash: Callable[[JournalError], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        slow_seconds: float = 1.0,
    ) -> None:
        self._books = books
        self._faults = faults
        self._journal = journal
        self._crash = crash
        self._clock = clock
        self._slow_seconds = slow_seconds
        self._counter = Counter(books, faults, journal.note if journal else None)
        self._timer: asyncio.TimerHandle | None = None

    def respond(self, request: Request) -> Answer:
        """Answer one request; nothing in it makes this raise."""
        try:
            answer = self._route(request)
            self._settle_down()
        except JournalError as error:
            self._crash(error)
            return Answer(hang_up=True)
        except Refused as refused:
            return problem(422, refused.refusal.sentence, refusal=refused.refusal)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            return problem(400, f"{request.method} /{'/'.join(request.path)}: {str(error)[:500]}")
        return answer

    def _route(self, request: Request) -> Answer:
        grade = request.headers.get(b"sandbox-grade")
        if grade is not None and grade.decode("latin-1") != self._books.rules.grade:
            mine = self._books.rules.grade
            return problem(409, f'this sandbox is {mine}; write grade = "{mine}" in the settings of the connector')
        match (request.method, *request.path):
            case ("POST", "postings"):
                return self._take(request.body)
            case ("POST", "admin", what):
                return self._administer(what, request.body)
            case ("GET", *path):
                self._counter.advance(self._now())
                return self._look(path, request.query)
            case _:
                return problem(405, f"{request.method} is not known here")

    def _now(self) -> datetime:
        """The clock's time, which in these books never goes back."""
        now = self._clock()
        return max(now, self._books.now) if self._books.now else now

    def _take(self, body: bytes) -> Answer:
        postings = _POSTINGS.decode(body)
        if len(postings) > MAX_POSTINGS:
            return problem(400, f"{len(postings)} postings are too many for one request; send at most {MAX_POSTINGS}")
        heard: Heard = self._counter.take(postings, self._now())
        if heard.replies is not None:
            return json_answer(heard.replies, delay=self._slow_seconds if heard.fault is Fault.SLOW else 0.0)
        match heard.fault:
            case Fault.UNAVAILABLE:
                busy = problem(503, "the sandbox takes nothing just now; nothing was booked")
                return msgspec.structs.replace(busy, retry_after=1.0)
            case Fault.BROKEN:
                return problem(500, "the sandbox broke down")
            case _:
                return Answer(hang_up=True)

    def _look(self, path: list[str], query: dict[str, list[str]]) -> Answer:
        books = self._books
        seen: object
        match path:
            case ["postings", key]:
                seen = books.find(key)
            case ["changes"]:
                seen = books.pull(query.get("cursor", [""])[0])
            case ["balances"]:
                seen = list(books.balances(query.get("item", [])))
            case ["totals"]:
                seen = list(books.order_totals(query.get("order", [])))
            case ["documents"]:
                seen = self._page(query.get("after", [""])[0])
            case ["documents", number] if number in books.documents:
                seen = self._shown(books.documents[number])
            case ["orders", order]:
                seen = [{"what": what, "name": name, "amount": amount} for (what, name), amount in books.booked(order).items()]
            case ["count"]:
                seen = {"documents": len(books.documents), "cancelled": len(books.cancelled), "keys": len(books.keys)}
            case ["admin", "keys", key]:
                seen = books.keys.get(key, [])
            case _:
                return problem(404, f"/{'/'.join(path)} is not known here")
        return json_answer(seen)

    def _page(self, after: str) -> list[Document]:
        numbers: Iterable[str] = self._books.documents
        if after:
            numbers = (number for number in numbers if number > after)
        return [self._shown(self._books.documents[number]) for number in islice(numbers, PAGE)]

    def _shown(self, document: Document) -> Document:
        """A document as senders may see it."""
        return msgspec.structs.replace(document, key="") if self._books.rules.grade is Grade.BLIND else document

    def _administer(self, what: str, body: bytes) -> Answer:
        if what == "faults":
            orders = _ORDERS.decode(body)
            if orders.rates is not None:
                self._faults.set_rates(orders.rates)
            for fault in orders.arm:
                self._faults.arm(fault)
            return json_answer({"armed": len(orders.arm)})
        if what == "settle":
            while (due := self._counter.due()) is not None:
                self._counter.advance(due)
            return json_answer({"documents": len(self._books.documents)})
        if what not in _MASTER:
            return problem(404, f"/admin/{what} is not known here; there are {', '.join([*_MASTER, 'faults', 'settle'])}")
        return self._enter(_MASTER[what].decode(body))

    def _enter(self, entries: list[Entry]) -> Answer:
        """Enter one after another. The first that is refused ends it: those before it stay, and the answer says how many."""
        before = len(self._books.documents)
        for done, entry in enumerate(entries):
            try:
                self._counter.enter(entry, self._now())
            except Refused as refused:
                self._settle_down()
                return problem(422, refused.refusal.sentence, refusal=refused.refusal, entered=done)
        return json_answer({"entered": len(entries), "documents": list(islice(self._books.documents, before, None))})

    def _settle_down(self) -> None:
        """Make durable what happened, and wake up when more will happen by itself."""
        if self._journal:
            self._journal.commit()
        due = self._counter.due()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, (due - self._now()).total_seconds())
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        try:
            self._counter.advance(self._now())
            self._settle_down()
        except JournalError as error:
            self._crash(error)

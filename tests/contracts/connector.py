"""The contract of every connector: what `synchromesh.connectors.agreement` promises, as tests.

To run it on a connector, a stranger's too, give the suite a world: the business system, reached by the connector and, beside it, by its
own means. In a test module of the plug-in (the root of this source tree on the path)::

    import pytest_asyncio
    from tests.contracts.connector import ConnectorContract, Names, World

    class MyWorld(World):
        ...                      # the abstract methods below, on the system's own API

    class TestMyConnector(ConnectorContract):
        @pytest_asyncio.fixture
        async def world(self):
            world = MyWorld(...)
            yield world
            await world.connector.close()

The books may be shared by all tests: the suite makes its own orders and keys and compares differences. What a system cannot do, or cannot
be made to do, is left out of `World.refuses`, `World.troubles`, `World.by_hand` or the connector's own `Abilities`; those tests then
skip, saying so.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple, get_args

import msgspec
import pytest

from synchromesh.connectors.agreement import Change, Connector, ConnectorError, FindingState, Grade, TellsOrders
from synchromesh.model import subject
from synchromesh.model.event import DocumentBooked, DocumentCancelled, EnterpriseEvent, ItemChanged, OrderChanged
from synchromesh.model.posting import Category, Fate, Line, Posting, PostingKind, Reply
from synchromesh.model.quantity import Quantity

HUGE = "900000000"
EVENTS = {kind.__struct_config__.tag: kind for kind in get_args(EnterpriseEvent)}


class Trouble(enum.StrEnum):
    """What can happen to a request, if the world can bring it about."""

    LOCKED = "locked"
    """Somebody else holds the order: refused now, fine later."""
    UNAVAILABLE = "unavailable"
    """The system answers, and says that it takes nothing just now."""
    UNREACHABLE = "unreachable"
    """Nobody listens."""
    REQUEST_LOST = "request lost"
    """The connection breaks before anything is booked."""
    REPLY_LOST = "reply lost"
    """Everything is booked and the reply is lost."""
    LATE = "late"
    """The sender gives up, and the system books later: when the world settles."""
    PARKED = "parked"
    """The posting waits for an approval, which it gets when the world settles."""
    DECLINED = "declined"
    """The posting waits for an approval, which is refused when the world settles."""
    ACCEPTED = "accepted"
    """The posting is accepted at once, and booked when the world settles."""


@dataclass(frozen=True)
class Names:
    """What exists in the business system for these tests, and what does not."""

    plant: str
    component: str
    """An item with at least 1,000 units of stock at `store`, without lots, kept without decimals."""
    product: str
    """An item that the orders make, without lots, kept without decimals."""
    unit: str
    """The unit of both."""
    store: str
    """The location of the component's stock, where output is received too."""
    other_store: str
    """A second location."""
    day: date
    """An open day."""
    closed_day: date | None = None
    planned_order: str = ""
    """An order that is not released."""
    closed_order: str = ""
    """An order that takes nothing more."""
    foreign_unit: str = "XYZ"
    """A unit that the component cannot be counted in."""
    others: dict[Category, tuple[Posting, str]] = field(default_factory=dict)
    """Postings that only this system refuses so, each with the subject that its refusal names."""


class Totals(NamedTuple):
    """What an order has booked, in the business system's own books, less what was taken back."""

    received: Decimal
    scrapped: Decimal
    issued: Decimal


class World(ABC):
    """One business system with its connector. Everything but `connector` works on the system's own books, past the connector."""

    connector: Connector
    names: Names
    refuses: frozenset[Category] = frozenset()
    troubles: frozenset[Trouble] = frozenset()
    by_hand: bool = False

    @abstractmethod
    async def new_order(self) -> str:
        """A released order of 100 of the product that takes the component, unlike any before."""

    @abstractmethod
    async def documents(self, key: str) -> int:
        """How many documents the key has booked, as an auditor counts them."""

    @abstractmethod
    async def totals(self, order: str) -> Totals: ...

    @abstractmethod
    async def again(self) -> Connector:
        """A second connector to the same system, from nothing but settings: as after a crash. The caller closes it."""

    def trouble(self, trouble: Trouble) -> AbstractAsyncContextManager[None]:
        """The next request (of a parked or declined one: the next posting) meets this trouble."""
        raise NotImplementedError(trouble)

    @abstractmethod
    async def settle(self) -> None:
        """Whatever was still running is done now, and approvals are decided."""

    async def book_by_hand(self) -> str:
        """Somebody books one more unit of the component at `store` in the system itself; the document's number."""
        raise NotImplementedError

    async def cancel_by_hand(self, document: str) -> None:
        """Somebody cancels the document in the system itself."""
        raise NotImplementedError


# --- postings of this suite -----------------------------------------------------------------------------------------------

_ordinals = itertools.count(1)


def new_key() -> str:
    return f"contract-{uuid.uuid4().hex[:12]}-{next(_ordinals)}"


class Writer:
    """Writes postings for one order."""

    def __init__(self, names: Names, order: str) -> None:
        self.names = names
        self.order = order

    def posting(self, kind: PostingKind, *lines: Line, **more: object) -> Posting:
        plain = Posting(key=new_key(), kind=kind, plant=self.names.plant, lane=self.order, effective=self.names.day, order=self.order)
        return msgspec.structs.replace(plain, lines=lines, **more)

    def line(self, item: str, amount: str, **more: str) -> Line:
        unit = more.pop("unit", self.names.unit)
        return Line(item=item, quantity=Quantity(Decimal(amount), unit), **{"location": self.names.store, **more})

    def receipt(self, amount: str = "1", **more: object) -> Posting:
        return self.posting(PostingKind.RECEIPT, self.line(self.names.product, amount), **more)

    def issue(self, amount: str = "1", **more: str) -> Posting:
        return self.posting(PostingKind.ISSUE, self.line(self.names.component, amount, **more))

    def scrap(self) -> Posting:
        return self.posting(PostingKind.SCRAP, self.line(self.names.product, "2", reason="bent"))

    def confirmation(self) -> Posting:
        return self.posting(PostingKind.CONFIRMATION, self.line(self.names.product, "4"), labour_seconds=60, machine_seconds=90)

    def transfer(self) -> Posting:
        line = self.line(self.names.component, "3", to_location=self.names.other_store)
        return self.posting(PostingKind.TRANSFER, line, order="")

    def adjustment(self, amount: str = "1") -> Posting:
        return self.posting(PostingKind.ADJUSTMENT, self.line(self.names.component, amount, reason="counted"), order="")

    def completion(self) -> Posting:
        return self.posting(PostingKind.COMPLETION)

    def reversal(self, original: Posting, document: str) -> Posting:
        return self.posting(PostingKind.REVERSAL, order=original.order, reverses=original.key, reverses_document=document)


_KINDS: dict[PostingKind, Callable[[Writer], Posting]] = {
    PostingKind.ISSUE: Writer.issue,
    PostingKind.RECEIPT: Writer.receipt,
    PostingKind.SCRAP: Writer.scrap,
    PostingKind.CONFIRMATION: Writer.confirmation,
    PostingKind.TRANSFER: Writer.transfer,
    PostingKind.ADJUSTMENT: Writer.adjustment,
    PostingKind.COMPLETION: Writer.completion,
}


def _refused_case(category: Category, world: World, writer: Writer) -> tuple[Posting, str]:
    """A posting that must be refused so, and the subject that its refusal names."""
    names = world.names
    match category:
        case Category.CLOSED_PERIOD:
            assert names.closed_day is not None
            return writer.receipt(effective=names.closed_day), subject.period(names.closed_day)
        case Category.UNKNOWN_ITEM:
            return writer.posting(PostingKind.ISSUE, writer.line("NO-SUCH-ITEM", "1")), subject.item("NO-SUCH-ITEM")
        case Category.UNKNOWN_ORDER:
            return writer.receipt(order="NO-SUCH-ORDER"), subject.order("NO-SUCH-ORDER")
        case Category.UNKNOWN_LOT:
            return writer.issue(lot="NO-SUCH-LOT"), subject.lot("NO-SUCH-LOT", names.component)
        case Category.UNKNOWN_LOCATION:
            return writer.issue(location="NO-SUCH-PLACE"), subject.location("NO-SUCH-PLACE")
        case Category.INSUFFICIENT_STOCK:
            return writer.issue(HUGE), subject.item(names.component)
        case Category.MISSING_UNIT:
            return writer.issue(unit=names.foreign_unit), subject.unit(names.foreign_unit, names.component)
        case Category.ORDER_NOT_RELEASED:
            return writer.receipt(order=names.planned_order), subject.order(names.planned_order)
        case Category.ORDER_CLOSED:
            return writer.receipt(order=names.closed_order), subject.order(names.closed_order)
        case Category.INVALID:
            return writer.issue("0.123456789"), subject.item(names.component)
        case _:
            return names.others[category]


async def drain(connector: Connector, cursor: str = "") -> tuple[list[Change], str]:
    """All changes since the cursor, pulled until there are none."""
    changes: list[Change] = []
    while True:
        pulled = await connector.pull(cursor)
        cursor = pulled.cursor
        if not pulled.changes:
            return changes, cursor
        changes.extend(pulled.changes)


def decoded(change: Change) -> EnterpriseEvent:
    """The canonical event that a change tells."""
    return msgspec.json.decode(change.data, type=EVENTS[change.type])


NO_ANSWER = (Category.DUPLICATE, Category.LOCKED, Category.DIFFERENCE)
"""Categories that no refusal of a posting has: what is known already, what is tried again, and what a reconciliation finds."""


class ConnectorContract:
    """Inherit from this in a class that has a fixture `world`."""

    @pytest.fixture
    async def writer(self, world: World) -> Writer:
        return Writer(world.names, await world.new_order())

    @staticmethod
    def need_kind(world: World, kind: PostingKind) -> None:
        if kind not in world.connector.abilities.kinds:
            pytest.skip(f"this system books no {kind}")

    @staticmethod
    def need_trouble(world: World, trouble: Trouble) -> None:
        if trouble not in world.troubles:
            pytest.skip(f"this system cannot be made to show: {trouble}")

    @staticmethod
    def need_asking(world: World) -> None:
        if world.connector.abilities.grade is Grade.BLIND:
            pytest.skip("this system cannot be asked for a key")

    @staticmethod
    async def post(world: World, posting: Posting) -> Reply:
        replies = await world.connector.post([posting])
        assert [reply.key for reply in replies] == [posting.key]
        refusal = replies[0].refusal
        assert refusal is None or subject.is_canonical(refusal.subject), f"{refusal.subject!r} groups with nothing: see model/subject.py"
        return replies[0]

    async def posted(self, world: World, posting: Posting) -> str:
        """The document of a posting that must succeed."""
        reply = await self.post(world, posting)
        assert reply.fate is Fate.POSTED, reply.refusal
        assert reply.document
        assert reply.refusal is None
        return reply.document

    # --- abilities ------------------------------------------------------------------------------------------------------

    async def test_abilities_make_sense(self, world: World) -> None:
        abilities = world.connector.abilities
        assert abilities.batch >= 1
        assert abilities.concurrency >= 1
        assert abilities.settle_seconds >= 0
        assert PostingKind.RECEIPT in abilities.kinds
        if abilities.grade is Grade.ASKABLE:
            assert abilities.settle_seconds > 0, "an askable system needs a time after which nothing can still be running"

    # --- posting --------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", _KINDS)
    async def test_posts_each_kind_once(self, world: World, writer: Writer, kind: PostingKind) -> None:
        self.need_kind(world, kind)
        posting = _KINDS[kind](writer)
        await self.posted(world, posting)
        assert await world.documents(posting.key) == 1

    async def test_nothing_to_post_is_nothing(self, world: World) -> None:
        assert await world.connector.post([]) == []

    async def test_the_books_hold_what_was_posted(self, world: World, writer: Writer) -> None:
        await self.posted(world, writer.issue("5"))
        await self.posted(world, writer.receipt("3"))
        await self.posted(world, writer.receipt("4"))
        assert await world.totals(writer.order) == Totals(received=Decimal(7), scrapped=Decimal(0), issued=Decimal(5))

    async def test_scrap_is_booked_on_the_order(self, world: World, writer: Writer) -> None:
        self.need_kind(world, PostingKind.SCRAP)
        await self.posted(world, writer.scrap())
        assert (await world.totals(writer.order)).scrapped == 2

    async def test_documents_differ(self, world: World, writer: Writer) -> None:
        assert await self.posted(world, writer.receipt()) != await self.posted(world, writer.receipt())

    async def test_equal_postings_with_different_keys_both_count(self, world: World, writer: Writer) -> None:
        await self.posted(world, writer.receipt("2"))
        await self.posted(world, writer.receipt("2"))
        assert (await world.totals(writer.order)).received == 4

    async def test_replies_come_in_order_each_judged_alone(self, world: World, writer: Writer) -> None:
        good = [writer.receipt() for _ in range(3)]
        bad = writer.receipt(order="NO-SUCH-ORDER")
        batch = [good[0], bad, good[1], good[2]][: world.connector.abilities.batch]
        replies = await world.connector.post(batch)
        assert [reply.key for reply in replies] == [posting.key for posting in batch]
        assert [reply.fate for reply in replies] == [Fate.REJECTED if posting is bad else Fate.POSTED for posting in batch]
        assert [await world.documents(posting.key) for posting in batch] == [0 if posting is bad else 1 for posting in batch]

    async def test_a_posting_with_several_lines_is_one_document(self, world: World, writer: Writer) -> None:
        names = world.names
        posting = writer.posting(PostingKind.ISSUE, writer.line(names.component, "1"), writer.line(names.component, "2"))
        await self.posted(world, posting)
        assert await world.documents(posting.key) == 1
        assert (await world.totals(writer.order)).issued == 3

    async def test_a_posting_is_booked_whole_or_not_at_all(self, world: World, writer: Writer) -> None:
        posting = writer.posting(PostingKind.ISSUE, writer.line(world.names.component, "1"), writer.line("NO-SUCH-ITEM", "1"))
        assert (await self.post(world, posting)).fate is Fate.REJECTED
        assert (await world.totals(writer.order)).issued == 0

    async def test_a_difference_takes_back_a_part(self, world: World, writer: Writer) -> None:
        await self.posted(world, writer.receipt("5"))
        reply = await self.post(world, writer.receipt("-2"))
        if world.connector.abilities.differences:
            assert reply.fate is Fate.POSTED, reply.refusal
            assert (await world.totals(writer.order)).received == 3
        else:
            assert reply.fate is Fate.REJECTED
            assert (await world.totals(writer.order)).received == 5

    # --- the key --------------------------------------------------------------------------------------------------------

    async def test_a_repeated_key_keeps_the_grade(self, world: World, writer: Writer) -> None:
        posting = writer.receipt("2")
        first = await self.posted(world, posting)
        if world.connector.abilities.grade is Grade.UNIQUE:
            assert await self.posted(world, posting) == first
            assert await world.documents(posting.key) == 1
            assert (await world.totals(writer.order)).received == 2

    async def test_a_key_with_other_content_is_refused(self, world: World, writer: Writer) -> None:
        if world.connector.abilities.grade is not Grade.UNIQUE:
            pytest.skip("this system doesn't keep keys unique")
        posting = writer.receipt("2")
        await self.posted(world, posting)
        other = msgspec.structs.replace(writer.receipt("3"), key=posting.key)
        reply = await self.post(world, other)
        assert reply.fate is Fate.REJECTED
        assert reply.refusal is not None
        assert (reply.refusal.category, reply.refusal.subject) == (Category.DUPLICATE, subject.posting(posting.key))
        assert (await world.totals(writer.order)).received == 2

    async def test_two_posts_of_one_key_at_a_time_are_one_document(self, world: World, writer: Writer) -> None:
        if world.connector.abilities.grade is not Grade.UNIQUE:
            pytest.skip("this system doesn't keep keys unique")
        posting = writer.receipt()
        second = await world.again()
        try:
            both = await asyncio.gather(world.connector.post([posting]), second.post([posting]))
        finally:
            await second.close()
        assert await world.documents(posting.key) == 1
        assert any(replies[0].fate is Fate.POSTED for replies in both)
        assert {replies[0].fate for replies in both} <= {Fate.POSTED, Fate.RETRY, Fate.DOUBT}

    async def test_find_after_a_crash(self, world: World, writer: Writer) -> None:
        posting = writer.receipt()
        document = await self.posted(world, posting)
        other = await world.again()
        try:
            finding = await other.find(posting.key)
        finally:
            await other.close()
        if world.connector.abilities.grade is Grade.BLIND:
            assert finding.state is FindingState.SILENT
            return
        assert finding.state is FindingState.BOOKED
        assert finding.reply is not None
        assert (finding.reply.key, finding.reply.fate, finding.reply.document) == (posting.key, Fate.POSTED, document)

    async def test_find_of_what_was_never_sent(self, world: World) -> None:
        blind = world.connector.abilities.grade is Grade.BLIND
        assert (await world.connector.find(new_key())).state is (FindingState.SILENT if blind else FindingState.ABSENT)

    # --- refusals -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("category", [category for category in Category if category not in NO_ANSWER])
    async def test_a_refusal_says_why(self, world: World, writer: Writer, category: Category) -> None:
        if category not in world.refuses:
            pytest.skip(f"this system refuses nothing as: {category}")
        posting, about = _refused_case(category, world, writer)
        reply = await self.post(world, posting)
        assert reply.fate is Fate.REJECTED
        assert reply.document == ""
        refusal = reply.refusal
        assert refusal is not None
        assert refusal.category is category, refusal
        assert refusal.subject == about
        assert refusal.sentence.endswith(".")
        assert len(refusal.sentence) < 500
        assert len(refusal.detail) <= 2000
        assert await world.documents(posting.key) == 0
        assert (await world.connector.find(posting.key)).state is not FindingState.BOOKED

    async def test_what_was_refused_may_be_sent_again(self, world: World, writer: Writer) -> None:
        """A refused key is not used up: the cause may be mended in the business system."""
        posting = writer.receipt(order="NO-SUCH-ORDER")
        assert (await self.post(world, posting)).fate is Fate.REJECTED
        assert (await self.post(world, posting)).fate is Fate.REJECTED
        mended = msgspec.structs.replace(writer.receipt(), key=posting.key)
        await self.posted(world, mended)
        assert await world.documents(posting.key) == 1

    # --- reversal -------------------------------------------------------------------------------------------------------

    async def test_a_reversal_undoes(self, world: World, writer: Writer) -> None:
        self.need_kind(world, PostingKind.REVERSAL)
        await self.posted(world, writer.receipt("2"))
        original = writer.receipt("5")
        document = await self.posted(world, original)
        reversal = writer.reversal(original, document)
        assert await self.posted(world, reversal) != document
        assert (await world.totals(writer.order)).received == 2
        if world.connector.abilities.grade is Grade.UNIQUE:
            await self.posted(world, reversal)
            assert (await world.totals(writer.order)).received == 2

    async def test_a_second_reversal_is_refused(self, world: World, writer: Writer) -> None:
        self.need_kind(world, PostingKind.REVERSAL)
        original = writer.receipt("5")
        document = await self.posted(world, original)
        await self.posted(world, writer.reversal(original, document))
        reply = await self.post(world, writer.reversal(original, document))
        assert reply.fate is Fate.REJECTED
        assert reply.refusal is not None
        assert reply.refusal.subject == subject.document(document)
        assert (await world.totals(writer.order)).received == 0

    async def test_a_reversal_of_nothing_is_refused(self, world: World, writer: Writer) -> None:
        self.need_kind(world, PostingKind.REVERSAL)
        never = writer.receipt()
        reply = await self.post(world, writer.reversal(never, "NO-SUCH-DOCUMENT"))
        assert reply.fate is Fate.REJECTED
        assert reply.refusal is not None
        assert reply.refusal.subject == subject.document("NO-SUCH-DOCUMENT")

    # --- trouble --------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("trouble", [Trouble.LOCKED, Trouble.UNAVAILABLE, Trouble.UNREACHABLE])
    async def test_certainly_not_booked_is_retry(self, world: World, writer: Writer, trouble: Trouble) -> None:
        self.need_trouble(world, trouble)
        posting = writer.receipt()
        async with world.trouble(trouble):
            reply = await self.post(world, posting)
        assert reply.fate is Fate.RETRY
        assert reply.refusal is not None
        assert reply.refusal.subject == (subject.order(writer.order) if trouble is Trouble.LOCKED else subject.SYSTEM)
        await world.settle()
        assert await world.documents(posting.key) == 0
        await self.posted(world, posting)
        assert await world.documents(posting.key) == 1

    async def test_an_unreachable_system_cannot_be_asked(self, world: World) -> None:
        self.need_trouble(world, Trouble.UNREACHABLE)
        async with world.trouble(Trouble.UNREACHABLE):
            with pytest.raises(ConnectorError):
                await world.connector.pull("")
            with pytest.raises(ConnectorError):
                await world.connector.balances()
            if world.connector.abilities.grade is not Grade.BLIND:
                with pytest.raises(ConnectorError):
                    await world.connector.find(new_key())

    async def test_a_lost_reply_is_doubt_and_find_tells(self, world: World, writer: Writer) -> None:
        self.need_trouble(world, Trouble.REPLY_LOST)
        posting = writer.receipt()
        async with world.trouble(Trouble.REPLY_LOST):
            reply = await self.post(world, posting)
        assert reply.fate is Fate.DOUBT
        assert await world.documents(posting.key) == 1
        finding = await world.connector.find(posting.key)
        if world.connector.abilities.grade is Grade.BLIND:
            assert finding.state is FindingState.SILENT
            return
        assert finding.state is FindingState.BOOKED
        assert finding.reply is not None
        assert finding.reply.fate is Fate.POSTED
        assert finding.reply.document

    async def test_a_lost_request_is_doubt_and_find_tells(self, world: World, writer: Writer) -> None:
        self.need_trouble(world, Trouble.REQUEST_LOST)
        posting = writer.receipt()
        async with world.trouble(Trouble.REQUEST_LOST):
            reply = await self.post(world, posting)
        assert reply.fate is Fate.DOUBT
        await world.settle()
        assert await world.documents(posting.key) == 0
        self.need_asking(world)
        assert (await world.connector.find(posting.key)).state is FindingState.ABSENT
        await self.posted(world, posting)
        assert await world.documents(posting.key) == 1

    async def test_a_late_commit_is_doubt_until_it_settles(self, world: World, writer: Writer) -> None:
        self.need_trouble(world, Trouble.LATE)
        posting = writer.receipt()
        async with world.trouble(Trouble.LATE):
            reply = await self.post(world, posting)
        assert reply.fate is Fate.DOUBT
        await world.settle()
        assert await world.documents(posting.key) == 1
        self.need_asking(world)
        assert (await world.connector.find(posting.key)).state is FindingState.BOOKED

    async def test_a_late_commit_and_a_repeat_are_one_document(self, world: World, writer: Writer) -> None:
        self.need_trouble(world, Trouble.LATE)
        if world.connector.abilities.grade is not Grade.UNIQUE:
            pytest.skip("this system doesn't keep keys unique")
        posting = writer.receipt()
        async with world.trouble(Trouble.LATE):
            await self.post(world, posting)
        document = await self.posted(world, posting)
        await world.settle()
        assert await world.documents(posting.key) == 1
        assert await self.posted(world, posting) == document

    @pytest.mark.parametrize(
        ("trouble", "first", "then"),
        [
            (Trouble.PARKED, Fate.PARKED, Fate.POSTED),
            (Trouble.DECLINED, Fate.PARKED, Fate.REJECTED),
            (Trouble.ACCEPTED, Fate.ACCEPTED, Fate.POSTED),
        ],
    )
    async def test_what_is_not_decided_is_followed(self, world: World, writer: Writer, trouble: Trouble, first: Fate, then: Fate) -> None:
        self.need_trouble(world, trouble)
        posting = writer.receipt()
        async with world.trouble(trouble):
            reply = await self.post(world, posting)
        assert reply.fate is first
        assert await world.documents(posting.key) == 0
        if world.connector.abilities.grade is not Grade.BLIND:
            finding = await world.connector.find(posting.key)
            assert finding.reply is not None
            assert finding.reply.fate is first
        await world.settle()
        assert await world.documents(posting.key) == (1 if then is Fate.POSTED else 0)
        self.need_asking(world)
        finding = await world.connector.find(posting.key)
        assert finding.reply is not None
        assert finding.reply.fate is then
        assert bool(finding.reply.document) is (then is Fate.POSTED)
        assert (finding.reply.refusal is not None) is (then is Fate.REJECTED)

    # --- pull and balances ----------------------------------------------------------------------------------------------

    async def test_pull_tells_items_and_orders_in_canonical_words(self, world: World, writer: Writer) -> None:
        changes, _ = await drain(world.connector)
        events = [decoded(change) for change in changes]
        items = {event.item: event for event in events if isinstance(event, ItemChanged)}
        assert items[world.names.component].unit == world.names.unit
        orders = {event.order: event for event in events if isinstance(event, OrderChanged)}
        assert orders[writer.order].item == world.names.product
        assert orders[writer.order].quantity == Quantity(Decimal(100), world.names.unit)
        assert orders[writer.order].status == "released"

    async def test_pull_is_repeatable_with_stable_identities(self, world: World, writer: Writer) -> None:
        first, _ = await drain(world.connector)
        second, _ = await drain(world.connector)
        assert first == second
        assert len({change.id for change in first}) == len(first)

    async def test_pull_resumes_by_its_cursor(self, world: World, writer: Writer) -> None:
        before, cursor = await drain(world.connector)
        order = await world.new_order()
        other = await world.again()
        try:
            later, _ = await drain(other, cursor)
        finally:
            await other.close()
        assert order in {event.order for event in map(decoded, later) if isinstance(event, OrderChanged)}
        assert not {change.id for change in later} & {change.id for change in before}

    async def test_pull_refuses_a_cursor_that_is_none(self, world: World) -> None:
        with pytest.raises(ConnectorError):
            await world.connector.pull("not a cursor of this system")

    async def test_own_documents_are_not_told_as_those_of_others(self, world: World, writer: Writer) -> None:
        _, cursor = await drain(world.connector)
        document = await self.posted(world, writer.receipt())
        changes, _ = await drain(world.connector, cursor)
        booked = {event.document for event in map(decoded, changes) if isinstance(event, DocumentBooked)}
        assert document not in booked

    async def test_documents_of_others_are_pulled(self, world: World) -> None:
        if not world.by_hand:
            pytest.skip("nobody books by hand in this world")
        _, cursor = await drain(world.connector)
        document = await world.book_by_hand()
        changes, _ = await drain(world.connector, cursor)
        booked = [event for event in map(decoded, changes) if isinstance(event, DocumentBooked) and event.document == document]
        assert len(booked) == 1
        assert [line.item for line in booked[0].lines] == [world.names.component]
        assert booked[0].lines[0].quantity.amount == 1

    async def test_what_others_cancel_is_pulled(self, world: World, writer: Writer) -> None:
        if not world.by_hand:
            pytest.skip("nobody cancels by hand in this world")
        document = await self.posted(world, writer.receipt("3"))
        _, cursor = await drain(world.connector)
        await world.cancel_by_hand(document)
        changes, _ = await drain(world.connector, cursor)
        cancelled = [event.document for event in map(decoded, changes) if isinstance(event, DocumentCancelled)]
        assert cancelled == [document]
        assert (await world.totals(writer.order)).received == 0

    async def stock(self, world: World, item: str, location: str) -> Decimal:
        """What `balances` says of one place, all statuses and lots together."""
        found = await world.connector.balances([item])
        assert all(balance.item == item for balance in found)
        here = [balance.quantity for balance in found if balance.location == location]
        assert {quantity.unit for quantity in here} <= {world.names.unit}
        return sum((quantity.amount for quantity in here), Decimal(0))

    async def test_balances_follow_the_postings(self, world: World, writer: Writer) -> None:
        names = world.names
        components = await self.stock(world, names.component, names.store)
        products = await self.stock(world, names.product, names.store)
        await self.posted(world, writer.issue("7"))
        await self.posted(world, writer.receipt("2"))
        assert await self.stock(world, names.component, names.store) == components - 7
        assert await self.stock(world, names.product, names.store) == products + 2

    async def test_a_transfer_moves_stock(self, world: World, writer: Writer) -> None:
        self.need_kind(world, PostingKind.TRANSFER)
        names = world.names
        here = await self.stock(world, names.component, names.store)
        there = await self.stock(world, names.component, names.other_store)
        await self.posted(world, writer.transfer())
        assert await self.stock(world, names.component, names.store) == here - 3
        assert await self.stock(world, names.component, names.other_store) == there + 3

    async def test_an_adjustment_goes_both_ways(self, world: World, writer: Writer) -> None:
        self.need_kind(world, PostingKind.ADJUSTMENT)
        names = world.names
        before = await self.stock(world, names.component, names.store)
        await self.posted(world, writer.adjustment("5"))
        await self.posted(world, writer.adjustment("-2"))
        assert await self.stock(world, names.component, names.store) == before + 3

    async def test_all_balances_hold_those_of_one_item(self, world: World) -> None:
        one = await world.connector.balances([world.names.component])
        everything = await world.connector.balances()
        assert one
        assert all(balance in everything for balance in one)

    # --- what a connector may be able to do besides ---------------------------------------------------------------------

    async def test_order_totals_are_what_the_books_hold(self, world: World, writer: Writer) -> None:
        """Where a system tells what is booked for an order: each kind and item, less what was taken back, and of these orders only."""
        connector = world.connector
        if not isinstance(connector, TellsOrders):
            pytest.skip("this system does not tell what is booked for an order")
        other = await world.new_order()
        assert await connector.order_totals([]) == await connector.order_totals(["NO-SUCH-ORDER"]) == []
        await self.posted(world, writer.issue("5"))
        await self.posted(world, writer.receipt("3"))
        await self.posted(world, writer.scrap())
        original = writer.receipt("4")
        document = await self.posted(world, original)
        await self.posted(world, writer.receipt("9", order=other, lane=other))
        await self.posted(world, writer.reversal(original, document))
        names, totals = world.names, await world.totals(writer.order)
        found = {(total.order, total.kind, total.item): total.quantity for total in await connector.order_totals([writer.order])}
        assert found == {
            (writer.order, PostingKind.ISSUE, names.component): Quantity(totals.issued, names.unit),
            (writer.order, PostingKind.RECEIPT, names.product): Quantity(totals.received, names.unit),
            (writer.order, PostingKind.SCRAP, names.product): Quantity(totals.scrapped, names.unit),
        }
        assert {total.order for total in await connector.order_totals([writer.order, other])} == {writer.order, other}

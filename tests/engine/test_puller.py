"""The first pull of a system: no plant ever knows an item without its stock, whenever a fact comes and whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.engine.world import PLANT, START, ea

from synchromesh.connectors.agreement import Balance, Change, ConnectorError, Pulled
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.faults import Faults
from synchromesh.connectors.sandbox.inprocess import InProcess
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, Rules, StockSet
from synchromesh.engine import puller as pulling
from synchromesh.engine.activation import Deciding, activations, in_force
from synchromesh.engine.puller import Puller
from synchromesh.engine.worker import Worker
from synchromesh.log.memory import MemoryLog
from synchromesh.model import event as ev
from synchromesh.model.message import ENTERPRISE, NATIVE, Message
from synchromesh.plant.entities import Balance as Booked
from synchromesh.plant.stock import place
from synchromesh.state import encoding
from synchromesh.state.memory import MemoryStore

ITEMS = ("BOLT", "GEAR", "NUT", "PIN")
PAGE = 2


class Paged(InProcess):
    """ERP's books told in small pages; `meanwhile` happens after each reading of stock."""

    readings = 0
    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    async def pull(self, cursor: str) -> Pulled:
        return self.counter.books.pull(cursor, PAGE)

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        found = await super().balances(items)
        self.readings += 1
        self.meanwhile()
        return found


class Died(Exception):
    """The process ends here."""


class Enterprise:
    """A new installation with one plant, whose ERP has four items, 7 BOLT on the shelf, and an order for each of them."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.store = MemoryStore()
        self.books = Books(Rules())
        self.erp = Paged(self.books, Faults(0), lambda: START)
        for entry in (*(ev.ItemChanged(item, "EA") for item in ITEMS), *(ErpLocation(at, plant=PLANT) for at in ("FG", "RM"))):
            self.books.enter(entry, START)
        self.books.enter(StockSet("BOLT", "RM", ea(7)), START)
        for item in ITEMS:
            self.books.enter(ErpOrder(f"of {item}", item, ea(100), location="FG", plant=PLANT), START)
        wanted = [Deciding(ENTERPRISE, "plants", ENTERPRISE, msgspec.json.encode([PLANT]).decode())]
        self.log.append(activations(self.store.reading(), wanted, START))
        self.worker = Worker(self.log, self.store.state(), [ENTERPRISE, PLANT], "worker", now=lambda: START, batch=1)
        self.start()

    def start(self) -> None:
        self.puller = Puller("main", self.erp, self.log, self.store.reading(), [PLANT], now=lambda: START)

    def pull(self) -> int:
        return asyncio.run(self.puller.step())

    def pull_all(self) -> None:
        while self.pull():
            pass

    def work(self) -> None:
        """The worker alone, until it is through."""
        head = None
        while self.worker.step() or self.log.head() != head:
            head = self.log.head()
            self.worker.tick()

    def consume(self) -> None:
        """One fact for each order: more than there is of its item."""
        for item in ITEMS:
            event = ev.MaterialConsumed(f"of {item}", item, ea(9), location="RM")
            self.log.append([Message(PLANT, "mes", item, NATIVE, START, msgspec.json.encode(event), occurred=START)])

    def postings(self) -> list[tuple[str, str, str]]:
        """Order, kind and state of all postings."""
        rows = [encoding.posting(body) for body in self.store.of(PLANT).postings.values()]
        return sorted((row.order, row.kind, row.state) for row in rows)

    def booked(self, item: str, location: str = "RM", plant: str = PLANT) -> Decimal:
        key = ("stock", place(item, location))
        found = self.store.reading().entities(plant, [key])
        return msgspec.msgpack.decode(found[key], type=Booked).booked if found else Decimal(0)


ALL_WAIT = [(f"of {item}", "issue", "waiting") for item in ITEMS]


@pytest.mark.parametrize("moment", range(30))
@pytest.mark.parametrize("pairs", [1, 1000])
def test_whenever_a_fact_comes_it_waits_for_stock(monkeypatch: pytest.MonkeyPatch, moment: int, pairs: int) -> None:
    """The worker folds message by message beside the puller, and a fact about each item comes at one moment of it."""
    monkeypatch.setattr(pulling, "PAIRS", pairs)
    world = Enterprise()
    for number in range(40):
        if number == moment:
            world.consume()
        if number % 3 == 0:
            world.pull()
        world.worker.step()
    world.pull_all()
    world.work()
    assert world.postings() == ALL_WAIT
    assert world.booked("BOLT") == 7


@pytest.mark.parametrize("steps", [0, 3, 7, 10, 13, 40])
@pytest.mark.parametrize("deadly", range(8))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_puller_killed_at_any_append_begins_anew_and_nothing_is_known_without_stock(
    monkeypatch: pytest.MonkeyPatch, deadly: int, when: str, steps: int
) -> None:
    """Facts come when the worker has made some steps in what the dead puller told."""
    monkeypatch.setattr(pulling, "PAIRS", 1)
    world = Enterprise()
    appends = 0

    def die(_: Sequence[Message]) -> None:
        nonlocal appends
        appends += 1
        if appends == deadly + 1:
            raise Died

    setattr(world.log, f"{when}_append", die)
    with pytest.raises(Died):
        world.pull_all()
    world.log.before_append = world.log.after_append = None
    for _ in range(steps):
        world.worker.step()
    world.consume()
    world.start()
    world.pull_all()
    world.work()
    assert world.postings() == ALL_WAIT
    assert world.booked("BOLT") == 7
    assert in_force(world.store.reading(), ENTERPRISE, "cursor", "main") is not None


def test_after_the_first_reading_changes_come_at_once_and_stock_is_not_read_again() -> None:
    world = Enterprise()
    world.pull_all()
    world.work()
    world.books.enter(ev.ItemChanged("CLIP", "EA"), START)
    assert world.pull() == 1
    world.start()
    world.pull_all()
    world.work()
    assert world.erp.readings == 1
    assert world.store.reading().entities(PLANT, [("item", "CLIP")])


@pytest.mark.parametrize("busy", [1, 2, 100])
def test_what_others_book_while_stock_is_read_is_counted_once(busy: int) -> None:
    """Stock is read again until nothing was booked meanwhile, but not for ever."""
    world = Enterprise()

    def book() -> None:
        if world.erp.readings <= busy:
            world.books.enter(StockSet("BOLT", "RM", ea(7 + world.erp.readings)), START + timedelta(seconds=world.erp.readings))
            world.books.enter(ev.PeriodChanged(START.date(), START.date(), True), START)

    world.erp.meanwhile = book  # type: ignore[method-assign]
    world.pull_all()
    world.work()
    assert world.erp.readings == min(busy + 1, pulling.READINGS)
    assert busy > pulling.READINGS or world.booked("BOLT") == 7 + busy


def test_a_system_without_items_is_not_read() -> None:
    world = Enterprise()
    empty = InProcess(Books(Rules()), Faults(0), lambda: START)
    world.puller = Puller("other", empty, world.log, world.store.reading(), [PLANT], now=lambda: START)
    head = world.log.head()
    assert world.pull() == 0
    assert world.log.head() == head


def test_a_stock_that_cannot_be_read_now_is_read_later() -> None:
    world = Enterprise()

    def fail() -> None:
        if world.erp.readings == 1:
            raise ConnectorError("no answer")

    world.erp.meanwhile = fail  # type: ignore[method-assign]
    with pytest.raises(ConnectorError):
        world.pull_all()
    world.pull_all()
    world.work()
    assert world.booked("BOLT") == 7


def test_an_item_of_one_plant_comes_with_its_stock_to_that_plant() -> None:
    world = Enterprise()

    async def pull(cursor: str) -> Pulled:
        pulled = await Paged.pull(world.erp, cursor)
        return Pulled([Change(each.id, each.type, each.data, PLANT) for each in pulled.changes], pulled.cursor)

    world.erp.pull = pull  # type: ignore[method-assign]
    world.pull_all()
    for _ in range(20):
        world.worker.step()
        if not world.store.of(PLANT).facts:
            world.consume()
    world.work()
    assert world.postings() == ALL_WAIT
    assert world.booked("BOLT") == 7


# --- a plant that joins later ------------------------------------------------------------------------------------------------------

LATE = "bergen"


def join(world: Enterprise) -> None:
    """The installation starts again with a second plant."""
    world.books.enter(ErpLocation("FG-B", plant=LATE), START)
    world.books.enter(ErpOrder("of late", "BOLT", ea(5), location="FG-B", plant=LATE), START)
    wanted = [Deciding(ENTERPRISE, "plants", ENTERPRISE, msgspec.json.encode([PLANT, LATE]).decode())]
    world.log.append(activations(world.store.reading(), wanted, START))
    world.worker = Worker(world.log, world.store.state(), [ENTERPRISE, PLANT, LATE], "later", now=lambda: START, batch=1)
    world.puller = Puller("main", world.erp, world.log, world.store.reading(), [PLANT, LATE], now=lambda: START)


def test_a_plant_that_joins_later_is_told_everything_and_the_others_hear_nothing_again() -> None:
    world = Enterprise()
    world.pull_all()
    world.work()
    before = world.log.head()[PLANT]
    join(world)
    world.pull_all()
    world.work()
    assert world.log.head()[PLANT] == before
    known = world.store.reading().entities(LATE, [*(("item", item) for item in ITEMS), ("order", "of late"), ("location", "FG-B")])
    assert len(known) == len(ITEMS) + 2
    assert world.booked("BOLT", plant=LATE) == 7
    assert world.store.reading().entities(LATE, [("order", "of BOLT")]) == {}, "that is another plant's order"


@pytest.mark.parametrize("deadly", range(6))
def test_a_puller_killed_while_a_plant_joins_begins_anew(monkeypatch: pytest.MonkeyPatch, deadly: int) -> None:
    monkeypatch.setattr(pulling, "PAIRS", 1)
    world = Enterprise()
    world.pull_all()
    world.work()
    join(world)
    appends = 0

    def die(_: object) -> None:
        nonlocal appends
        appends += 1
        if appends == deadly:
            raise Died

    world.log.after_append = die
    try:
        world.pull_all()
    except Died:
        world.log.after_append = None
        world.puller = Puller("main", world.erp, world.log, world.store.reading(), [PLANT, LATE], now=lambda: START)
        world.pull_all()
    world.log.after_append = None
    world.work()
    assert len(world.store.reading().entities(LATE, [("item", item) for item in ITEMS])) == len(ITEMS)
    assert world.booked("BOLT", plant=LATE) == 7


def test_a_plant_that_has_joined_is_not_told_again() -> None:
    world = Enterprise()
    world.pull_all()
    world.work()
    join(world)
    world.pull_all()
    world.work()
    head = world.log.head()
    world.puller = Puller("main", world.erp, world.log, world.store.reading(), [PLANT, LATE], now=lambda: START)
    assert world.pull() == 0
    assert world.log.head() == head

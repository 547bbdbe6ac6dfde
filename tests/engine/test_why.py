"""Only the dependent chain waits, and from anything that waits the chain of causes leads down to the thing to fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.engine.stores import Readings
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.engine import inflows
from synchromesh.engine import why as module
from synchromesh.engine.views import SystemView
from synchromesh.engine.why import Asking, Node, Why
from synchromesh.model import event as ev
from synchromesh.model.posting import Category, Fate, Outcome, Refusal
from synchromesh.plant.policy import Policy

Ask = Callable[[World, str], Why]


@pytest.fixture
def ask(readings: Readings) -> Ask:
    def ask(world: World, query: str) -> Why:
        system = SystemView("erp", "unique", reachable=getattr(world, "erp_answers", True))
        return Asking([PLANT], readings(world), lambda: [system]).why(query)

    return ask


def nodes(why: Why) -> Iterator[Node]:
    def walk(node: Node) -> Iterator[Node]:
        yield node
        for each in node.because:
            yield from walk(each)

    for tree in why.trees:
        yield from walk(tree)


def roots(why: Why) -> list[tuple[str, str]]:
    return [(root.kind, root.name) for root in why.roots]


def two_orders() -> World:
    """4711 makes GEAR in lots of STEEL; 4712 makes PUMP of GEAR; 4713 has nothing to do with them."""
    world = World()
    world.order("4711")
    world.order("4713", item="BELT")
    world.master(ev.ItemChanged("STEEL", "EA"), ev.ItemChanged("PUMP", "EA"), ev.OrderChanged("4712", "PUMP", ea(50), location="FG"))
    stock = tuple(ev.StockLine(item, "RM", ea(100)) for item in ("STEEL",))
    world.erp_knows(StockSet("STEEL", "RM", ea(100)))
    world.tell(ev.StockObserved(stock, ("GEAR", "STEEL", "PUMP", "BELT")), source="erp")
    world.step()
    return world


# --- only the dependent chain waits ---------------------------------------------------------------------------------------------


def test_a_rejected_issue_parks_its_order_and_what_uses_its_lot_and_all_else_flows(ask: Ask) -> None:
    world = two_orders()
    world.faults.arm(Fault.CLOSED_PERIOD)
    at = {
        "issue": world.tell(ev.MaterialConsumed("4711", "STEEL", ea(1), location="RM")),
        "receipt": world.tell(ev.ProductionReported("4711", good=ea(5), lot="L1")),
        "scrap": world.tell(ev.ScrapRecorded("4711", ea(1))),
        "use": world.tell(ev.MaterialConsumed("4712", "GEAR", ea(5), location="FG", lot="L1")),
        "pump": world.tell(ev.ProductionReported("4712", good=ea(1), lot="P1")),
    }
    free = [world.tell(ev.ProductionReported("4713", good=ea(n))) for n in range(1, 6)]
    world.step()
    by_fact = {name: next(row for row in world.postings() if row.group == position) for name, position in at.items()}
    assert [(name, row.state) for name, row in by_fact.items()] == [
        ("issue", "rejected"), ("receipt", "waiting"), ("scrap", "waiting"), ("use", "waiting"), ("pump", "waiting"),
    ]  # fmt: skip
    assert [world.fate(position) for position in free] == ["booked"] * 5
    issue = by_fact["issue"]
    root = [("exception", f"{PLANT}:{issue.position}.{issue.ordinal}")]
    questions = [*(row.key for row in by_fact.values()), *(f"{PLANT}:{position}" for position in at.values())]
    for query in [*questions, "4711", "4712", "L1", "P1", world.fact(at["pump"]).id]:
        why = ask(world, query)
        assert roots(why) == root, query
        assert why.roots[0].remedy
        assert issue.key in {node.name for node in nodes(why)}, "the rejected issue is named"
    for position in free:
        assert ask(world, f"{PLANT}:{position}").roots == ()
    chain = [node.kind for node in nodes(ask(world, by_fact["pump"].key))]
    assert chain == ["posting", "lane", "posting", "stock", "posting", "lane", "posting", "exception"]
    world.own(ev.PostingRetried(issue.key, "ann"))
    world.step()
    assert world.fates() == {"booked": 10}
    assert ask(world, "4712").roots == ()


# --- each kind of root ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (ev.ProductionReported("4799", good=ea(1)), "order 4799"),
        (ev.ProductionReported("4711", good=ea(1), location="NEW"), "location NEW"),
        (ev.MaterialConsumed("4711", "BOLT", ea(1), location="RM"), "item BOLT"),
        (ev.FactCancelled("mes", "later"), "fact mes/later"),
    ],
)
def test_something_unknown_is_a_root_with_a_remedy(ask: Ask, event: ev.CanonicalEvent, name: str) -> None:
    world = two_orders()
    at = world.tell(event)
    world.step()
    why = ask(world, f"{PLANT}:{at}")
    assert roots(why) == [("name", name)]
    assert why.roots[0].remedy


def test_an_order_that_is_not_known_can_be_asked_about(ask: Ask) -> None:
    world = two_orders()
    world.tell(ev.ProductionReported("4799", good=ea(1)))
    world.step()
    assert roots(ask(world, "4799")) == [("name", "order 4799")]


def test_a_name_that_is_late_leads_to_its_exception(ask: Ask) -> None:
    world = World(Policy(waiting_hours=1))
    at = world.tell(ev.ProductionReported("4799", good=ea(1)))
    world.run(7200, 600)
    assert [kind for kind, _ in roots(ask(world, f"{PLANT}:{at}"))] == ["name", "exception"]


def test_the_end_of_an_order_leads_to_the_facts_that_it_waits_for(ask: Ask) -> None:
    world = two_orders()
    world.tell(ev.ProductionReported("4711", good=ea(1), location="NEW"))
    end = world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert roots(ask(world, f"{PLANT}:{end}")) == [("name", "location NEW")]


def test_what_the_mapping_could_not_read_is_a_root(ask: Ask) -> None:
    world = two_orders()
    [at] = world.log.append([world.log.read({PLANT: 0}, 99)[PLANT][1].message.__class__(PLANT, "mes", "x", "gone/1", world.time, b"{}")])
    world.step()
    assert roots(ask(world, "x")) == [("exception", f"{PLANT}:{at}.0")]


def test_stock_that_nothing_brings_is_a_root(ask: Ask) -> None:
    world = two_orders()
    at = world.tell(ev.MaterialConsumed("4712", "GEAR", ea(5), location="FG"))
    world.tell(ev.MaterialConsumed("4713", "GEAR", ea(5), location="FG"))  # takes from it, too, and brings nothing
    world.step()
    why = ask(world, f"{PLANT}:{at}")
    assert roots(why) == [("stock", "item GEAR at FG")]
    assert "0 EA booked, 10 claimed, 0 on the way" in why.roots[0].sentence


def test_a_closed_period_is_a_root(ask: Ask) -> None:
    world = World(Policy(closed_period="wait"))
    world.order()
    world.master(ev.PeriodChanged(world.time.date(), world.time.date(), False))
    at = world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    assert roots(ask(world, f"{PLANT}:{at}")) == [("period", str(world.time.date()))]


def test_an_open_gather_is_a_root_also_for_who_waits_for_its_stock(ask: Ask) -> None:
    world = World(Policy(gather="order"))
    world.order()
    at = world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    why = ask(world, f"{PLANT}:{at}")
    assert roots(why) == [("gather", "4711")]
    assert "closes as the plant's policy says" in why.roots[0].remedy


def outcome(world: World, fate: Fate) -> str:
    """A report whose posting has this outcome; the posting's key."""
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.work()
    key = world.postings()[-1].key
    refusal = Refusal(Category.OTHER, "x", "Nobody knows.", "Look.")
    world.own(ev.OutcomesReported((Outcome(key, fate, world.time, refusal=refusal),)))
    world.work()
    return key


def test_an_approval_in_the_business_system_is_a_root(ask: Ask) -> None:
    world = two_orders()
    key = outcome(world, Fate.PARKED)
    why = ask(world, key)
    assert roots(why) == [("posting", key)]
    assert why.roots[0].remedy == "Approve or reject it in erp."
    world.own(ev.OutcomesReported((Outcome(key, Fate.POSTED, world.time, "1"),)))
    world.work()


def test_doubt_is_a_root(ask: Ask) -> None:
    world = two_orders()
    key = outcome(world, Fate.UNKNOWN)
    assert [kind for kind, _ in roots(ask(world, key))] == ["exception"]


def test_a_business_system_that_does_not_answer_is_a_root(ask: Ask) -> None:
    world = two_orders()
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.tell(ev.ScrapRecorded("4711", ea(1)))
    world.work()
    key = world.postings()[-1].key
    assert ask(world, key).roots == ()
    world.erp_answers = False  # type: ignore[attr-defined]
    assert roots(ask(world, key)) == [("system", "erp")]


# --- what waits for nothing ---------------------------------------------------------------------------------------------------------


def test_what_is_booked_repeated_dismissed_or_replaced_says_so(ask: Ask) -> None:
    world = two_orders()
    booked = world.tell(ev.ProductionReported("4711", good=ea(5)), id="r1")
    world.step()
    again = world.tell(ev.ProductionReported("4711", good=ea(5)), id="r1", occurred=world.time)
    gone = world.tell(ev.ProductionReported("4799", good=ea(5)))
    world.step()
    world.own(ev.FactDismissed(gone, "ann", "a test"))
    world.step()
    document = world.postings()[0].document
    for query, said in (
        (f"{PLANT}:{booked}", f"is booked as {document}."),
        (f"{PLANT}:{again}", "was told before."),
        (f"{PLANT}:{gone}", "was dismissed (ann: a test)."),
        (world.postings()[0].key, f"is booked as {document}."),
        (document, f"is booked as {document}."),
        ("4711", "waits for nothing."),
    ):
        why = ask(world, query)
        assert why.trees[0].sentence.endswith(said), query
        assert why.roots == ()


def test_a_posting_that_was_sent_again_leads_to_the_new_one(ask: Ask) -> None:
    world = two_orders()
    world.faults.arm(Fault.CLOSED_PERIOD, 2)
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    key = world.postings()[0].key
    world.own(ev.PostingRetried(key, "ann"))
    world.step()
    again = world.postings()[1]
    assert roots(ask(world, key)) == [("exception", f"{PLANT}:{again.position}.{again.ordinal}")]


@pytest.mark.parametrize(
    "query",
    [
        "nothing",
        "oslo:1:receipt:1",
        "oslo:999999:receipt:1",
        "bergen:5",
        "oslo:999999",
        ":",
        "a:b:c:d",
        "oslo:²",
        "\x00",
        "oslo:" + "9" * 40,
        "oslo:-1:receipt:1",
        "oslo:" + "9" * 40 + ":receipt:1",
    ],
)
def test_an_unknown_name_has_no_answer(ask: Ask, query: str) -> None:
    assert ask(two_orders(), query).trees == ()


# --- bounds -----------------------------------------------------------------------------------------------------------------------


def test_a_long_chain_is_cut_and_says_so(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    world = two_orders()
    world.faults.arm(Fault.CLOSED_PERIOD)
    for n in range(1, 31):
        world.tell(ev.ProductionReported("4711", good=ea(n)))
    world.step()
    why = ask(world, "4711")
    assert (len(why.trees[0].because), why.more) == (module.BESIDE, True)
    assert len(why.roots) == 1
    monkeypatch.setattr(module, "NODES", 5)
    assert len(list(nodes(ask(world, "4711")))) <= 6


def test_two_that_wait_for_each_other_s_stock_are_no_circle(ask: Ask) -> None:
    world = two_orders()
    world.master(ev.ItemChanged("A", "EA"), ev.ItemChanged("B", "EA"))
    world.master(ev.OrderChanged("1", "A", ea(9), location="FG"), ev.OrderChanged("2", "B", ea(9), location="FG"))
    world.tell(ev.StockObserved((), ("A", "B")), source="erp")
    for order, uses in (("1", "B"), ("2", "A")):
        world.tell(ev.MaterialConsumed(order, uses, ea(1), location="FG"))
        world.tell(ev.ProductionReported(order, good=ea(1)))
    world.work()
    why = ask(world, "1")
    assert any(node.again for node in nodes(why))
    assert len(list(nodes(why))) < 20
    world.run(7200, 600)


def test_when_not_all_lanes_were_looked_through_it_says_so(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflows, "LANES", 1)
    monkeypatch.setattr(inflows, "PAGE", 1)
    world = two_orders()
    world.faults.arm(Fault.CLOSED_PERIOD)
    world.tell(ev.MaterialConsumed("4711", "STEEL", ea(1), location="RM"))
    world.tell(ev.ProductionReported("4713", good=ea(5)))
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    at = world.tell(ev.MaterialConsumed("4712", "GEAR", ea(5), location="FG"))
    world.step()
    why = ask(world, f"{PLANT}:{at}")
    assert why.more
    assert "nothing" not in str([node.remedy for node in nodes(why) if node.kind == "stock"]).lower(), "what was not seen is not denied"


def test_nobody_is_looked_for_where_nothing_is_on_the_way(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking goes through the orders of a plant, of which there may be very many."""
    world = two_orders()
    at = world.tell(ev.MaterialConsumed("4712", "GEAR", ea(5), location="FG"))
    world.step()
    monkeypatch.setattr(inflows.Inflows, "to", None)
    assert roots(ask(world, f"{PLANT}:{at}")) == [("stock", "item GEAR at FG")]

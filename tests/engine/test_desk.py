"""Decisions of people: each is checked, foreseen, taken once, and stands in the audit trail with what came of it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.engine.desk import Desk, NotFitting
from synchromesh.engine.queue import Unknown
from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.posting import Category, Line, PostingKind
from synchromesh.plant.policy import Policy
from synchromesh.plant.rows import ExceptionRow


def desk_of(world: World) -> Desk:
    """A desk whose worker goes on as soon as it is asked to wait."""

    def settled(plant: str, position: int) -> bool:
        world.step()
        return world.worker.positions[plant] >= position

    return Desk([PLANT], world.store.reading(), world.log, now=lambda: world.time, settled=settled)


def refusing(orders: int = 3, policy: Policy | None = None, rules: Rules | None = None) -> World:
    """So many orders, each with a report that ERP refuses because it does not know the item."""
    world = World(policy, rules)
    for number in range(orders):
        world.order(f"47{number:02}")
    del world.books.register.items["GEAR"]
    for number in range(orders):
        world.tell(ev.ProductionReported(f"47{number:02}", good=ea(5)))
    world.step()
    return world


def only(world: World) -> ExceptionRow:
    (row,) = world.exceptions()
    return row


# --- causes ------------------------------------------------------------------------------------------------------------------


def test_what_has_one_thing_to_be_fixed_is_one_cause() -> None:
    world = refusing(3)
    (cause,) = desk_of(world).queue.causes(10)
    assert (cause.category, cause.subject, cause.exceptions, cause.facts, cause.orders) == (Category.UNKNOWN_ITEM, "item GEAR", 3, 3, 3)
    assert cause.plants == (PLANT,)
    assert (cause.owner, cause.late, cause.sentence) == ("master data", False, "Item 'GEAR' does not exist.")
    world.time += timedelta(hours=5)
    assert desk_of(world).queue.causes(10)[0].late


def test_a_cause_that_is_put_right_releases_everything_by_itself_in_order() -> None:
    world = refusing(3)
    world.master(ev.ItemChanged("GEAR", "EA"))
    world.step()
    assert world.fates() == {"booked": 3}
    assert [document.order for document in world.documents()] == ["4700", "4701", "4702"]
    assert world.exceptions() == []


def test_an_unknown_location_and_an_unknown_order_go_on_when_erp_has_them() -> None:
    world = World()
    world.order()
    del world.books.register.locations["FG"]
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    assert [row.subject for row in world.exceptions()] == ["location FG"]
    world.master(ev.LocationChanged("FG"))
    assert world.fates() == {"booked": 1}
    order = world.books.register.orders.pop("4711")
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    assert [row.category for row in world.exceptions()] == [Category.UNKNOWN_ORDER]
    world.books.register.orders["4711"] = order
    world.tell(ev.OrderChanged("4711", "GEAR", ea(100), location="FG"), source="erp")
    world.step()
    assert world.fates() == {"booked": 2}


def test_a_unit_goes_on_when_the_item_has_it() -> None:
    world = World()
    world.order()
    world.erp_knows_as(ev.ItemChanged("GEAR", "KGM"))
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    assert [(row.category, row.subject) for row in world.exceptions()] == [(Category.MISSING_UNIT, "unit EA of item GEAR")]
    world.erp_knows_as(ev.ItemChanged("GEAR", "EA"))
    world.tell(ev.ItemChanged("GEAR", "EA", description="in pieces"), source="erp")
    world.step()
    assert world.fates() == {"booked": 1}


def test_a_release_tries_only_what_was_there_once() -> None:
    world = refusing(3)
    told = desk_of(world).release(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "ann"))
    assert [each.came_of for each in told] == ["done"]
    assert len(world.postings()) == 6, "each was sent again once, and refused again"
    assert len(world.exceptions()) == 3
    assert not list(desk_of(world).queue.releasing(Category.UNKNOWN_ITEM, "item GEAR"))


def test_what_is_refused_again_at_once_waits_for_the_next_release() -> None:
    """A list that was worked off to its end begins anew with what is opened meanwhile, which is not of this release."""
    world = World(Policy(closed_period="ask"))
    world.order()
    day = world.time.date()
    world.tell(ev.PeriodChanged(day, day, open=False), source="erp")
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    assert [row.subject for row in world.exceptions()] == [f"period of {day}"]
    told = desk_of(world).release(ev.CauseReleased(Category.CLOSED_PERIOD, f"period of {day}", "ann"))
    assert [each.came_of for each in told] == ["done"]
    assert len(world.postings()) == 2
    assert len(world.exceptions()) == 1


def test_a_large_cause_is_released_in_pages_and_shows_what_is_left() -> None:
    world = refusing(600)
    desk = desk_of(world)
    world.own(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "ann"))
    world.erp_knows_as(ev.ItemChanged("GEAR", "EA"))
    left = []
    while world.worker.step() or world.worker.tick() is not None:
        left += [each.left for each in desk.queue.releasing(Category.UNKNOWN_ITEM, "item GEAR")]
        if len(left) > 20:
            break
    assert sorted(set(left), reverse=True) == [600, 344, 88], "a page a step"
    world.step()
    assert world.fates() == {"booked": 600}
    assert [document.order for document in world.documents()] == [f"47{number:02}" for number in range(600)]


def test_somebody_takes_a_large_cause_on_whole_and_it_stays_open() -> None:
    world = refusing(600)
    desk = desk_of(world)
    taken = ev.CauseAssigned(Category.UNKNOWN_ITEM, "item GEAR", "ann", "bob")
    assert [each.came_of for each in desk.release(taken)] == ["done"]
    world.run(30)
    assert {(row.assigned, row.state) for row in world.exceptions()} == {("bob", "open")}
    assert (len(world.exceptions()), list(desk.queue.releasing(Category.UNKNOWN_ITEM, "item GEAR"))) == (600, [])
    assert desk.queue.audit(1)[0].words == "assigned everything that is stopped by “unknown item: item GEAR” to bob"
    world.erp_knows_as(ev.ItemChanged("GEAR", "EA"))
    desk.release(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "bob"))
    world.run(30)
    assert world.fates() == {"booked": 600}, "all of it is still listed, and goes on"


def test_who_takes_a_cause_on_stops_no_release() -> None:
    world = refusing(300)
    world.erp_knows(ev.ItemChanged("GEAR", "EA"))
    world.own(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "ann"))
    world.own(ev.CauseAssigned(Category.UNKNOWN_ITEM, "item GEAR", "ann", "bob"))
    world.run(30)
    assert world.fates() == {"booked": 300}
    assert [each.came_of for each in desk_of(world).queue.audit(2)] == ["stale", "done"]


def test_a_dry_run_says_exactly_which_postings_and_changes_nothing() -> None:
    world = refusing(3)
    before, kept = world.log.head(), list(world.store.state().rows(PLANT))
    (told,) = desk_of(world).release(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "ann"), dry_run=True)
    assert told.foreseen is not None
    assert told.position == 0
    assert [(each.kind, each.order, each.lines) for each in told.foreseen.made.first] == [
        ("receipt", f"470{number}", ("5 EA of GEAR, at FG",)) for number in range(3)
    ]
    assert (told.foreseen.exceptions.before, told.foreseen.exceptions.after) == (3, 0)
    assert world.log.head() == before
    assert list(world.store.state().rows(PLANT)) == kept


def test_a_cause_is_dismissed_whole_and_the_reason_stands_with_each_fact() -> None:
    world = refusing(3)
    desk_of(world).release(ev.CauseDismissed(Category.UNKNOWN_ITEM, "item GEAR", "ann", "trial run"))
    assert world.fates() == {"dismissed": 3}
    assert {row.reference for row in world.facts()} == {"ann: trial run"}
    assert desk_of(world).queue.causes(10) == []


def test_a_cause_that_is_not_open_is_refused() -> None:
    world = refusing(1)
    head = world.log.head()
    with pytest.raises(Unknown, match="no exception “unknown item: item SHAFT” is open"):
        desk_of(world).release(ev.CauseReleased(Category.UNKNOWN_ITEM, "item SHAFT", "ann"))
    assert world.log.head() == head


# --- one exception -------------------------------------------------------------------------------------------------------------


def test_one_is_sent_again_and_its_history_says_by_whom() -> None:
    world = refusing(1)
    world.erp_knows_as(ev.ItemChanged("GEAR", "EA"))
    row = only(world)
    told = desk_of(world).decide(PLANT, ev.PostingRetried(row.posting, "ann"))
    assert told.came_of == "done"
    assert world.fates() == {"booked": 1}
    view = desk_of(world).queue.exception(PLANT, (row.position, row.ordinal))
    assert (view.state, [(each.by, each.what) for each in view.history]) == ("resolved", [("ann", "sent it again")])


def test_somebody_takes_an_exception_on() -> None:
    world = refusing(1)
    row = only(world)
    id_ = (row.position, row.ordinal)
    desk_of(world).decide(PLANT, ev.ExceptionsAssigned((id_,), "ann", "bob"))
    view = desk_of(world).queue.exception(PLANT, id_)
    assert (view.state, view.assigned, view.history[0].what) == ("assigned", "bob", "assigned to bob")
    assert [each.id for each in desk_of(world).queue.newest("assigned", 9)] == [view.id]
    desk_of(world).decide(PLANT, ev.PostingRetried(row.posting, "bob"))
    again = only(world)
    assert again.posting != row.posting, "refused again, as another posting"


def test_a_refused_fact_is_told_again_when_a_person_says_so() -> None:
    world = World(Policy(horizon_days=1))
    world.order()
    at = world.tell(ev.ProductionReported("4711", good=ea(5)), occurred=world.time - timedelta(days=3))
    world.step()
    assert world.fate(at) == "exception"
    desk_of(world).decide(PLANT, ev.FactRetried(at, "ann"))
    assert world.fates() == {"booked": 1}


@pytest.mark.parametrize("mistake", ["item", "order"])
def test_a_fact_that_waits_for_what_does_not_exist_is_corrected_and_the_original_stays(mistake: str) -> None:
    world = World()
    world.order()
    wrong = ev.ScrapRecorded("4711", ea(1), item="GAER") if mistake == "item" else ev.ScrapRecorded("4171", ea(1))
    at = world.tell(wrong)
    world.step()
    assert world.fate(at) == "waiting"
    desk_of(world).decide(PLANT, ev.FactRepaired(at, "ann", "a slip of the pen", ev.ScrapRecorded("4711", ea(1))))
    original = world.fact(at)
    correction = int(original.reference.removeprefix("corrected by "))
    assert (original.fate, world.fate(correction)) == ("recorded", "booked")
    assert b"GAER" in original.told or b"4171" in original.told
    assert [line.item for line in world.postings_lines()] == ["GEAR"]
    world.order("4171")
    world.step()
    assert world.fates() == {"recorded": 1, "booked": 1}, "what was corrected does not come back"


def test_a_booked_fact_is_corrected_and_the_books_follow() -> None:
    world = World()
    world.order()
    at = world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    told = desk_of(world).decide(PLANT, ev.FactRepaired(at, "ann", "counted again", ev.ProductionReported("4711", good=ea(4))))
    assert told.came_of == "done"
    assert sum(world.booked().values()) == 4


def test_a_correction_that_would_be_refused_itself_is_refused_and_changes_nothing() -> None:
    world = World()
    world.order()
    at = world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    world.master(ev.OrderChanged("4712", "GEAR", ea(9), status="closed", location="FG"))
    head = world.log.head()
    with pytest.raises(NotFitting, match=r"the correction would be refused itself: .*4712"):
        desk_of(world).decide(PLANT, ev.FactRepaired(at, "ann", "x", ev.ProductionReported("4712", good=ea(4))))
    with pytest.raises(NotFitting, match="can't be negative"):
        desk_of(world).decide(PLANT, ev.FactRepaired(at, "ann", "x", ev.ProductionReported("4711", good=ea(-4))))
    assert world.log.head() == head


def test_doubt_is_settled_by_a_person_as_booked_or_not_booked() -> None:
    for document in ("4900000099", ""):
        world = World(rules=Rules(grade=Grade.BLIND))
        world.order()
        world.tell(ev.ProductionReported("4711", good=ea(5)))
        world.faults.arm(Fault.LOST)
        world.run(10)
        row = only(world)
        with pytest.raises(NotFitting, match="in doubt: say whether it is booked"):
            desk_of(world).decide(PLANT, ev.PostingRetried(row.posting, "ann"))
        desk_of(world).decide(PLANT, ev.DoubtSettled(row.posting, "ann", document))
        assert world.fates() == {"booked": 1}
        assert (document in [each.document for each in world.postings()]) or not document


BAD = [
    (ev.PostingRetried("oslo:999:receipt:1", "ann"), Unknown, "has no posting"),
    (ev.PostingRetried("nonsense", "ann"), Unknown, "is not the key of a posting"),
    (ev.FactRetried(999, "ann"), Unknown, "no fact at position 999"),
    (ev.FactDismissed(999, "ann", "x"), Unknown, "neither a fact nor a posting"),
    (ev.FactDismissed(1, "ann", ""), NotFitting, "length >= 1"),
    (ev.ExceptionsAssigned(((9, 9),), "ann", "bob"), Unknown, "has no exception 9.9"),
    (ev.DecisionApproved(3, "ann"), Unknown, "has no proposal at position 3"),
    (ev.CauseReleased(Category.OTHER, "x", "ann"), Unknown, "no open exception"),
]


@pytest.mark.parametrize(("event", "error", "sentence"), BAD, ids=lambda each: type(each).__name__)
def test_a_decision_about_nothing_is_refused_and_changes_nothing(event: ev.DecisionEvent, error: type[Exception], sentence: str) -> None:
    world = refusing(1)
    head = world.log.head()
    with pytest.raises(error, match=sentence):
        desk_of(world).decide(PLANT, event)
    assert world.log.head() == head


def test_a_decision_that_comes_too_late_changes_nothing_and_the_trail_says_so() -> None:
    world = refusing(1)
    row = only(world)
    world.own(ev.PostingRetried(row.posting, "ann"))
    world.own(ev.PostingRetried(row.posting, "bob"))
    world.step()
    assert [(each.by, each.verb, each.came_of) for each in desk_of(world).queue.audit(9)] == [
        ("bob", "retry", "stale"),
        ("ann", "retry", "done"),
    ]
    assert len(world.postings()) == 2


# --- four eyes -----------------------------------------------------------------------------------------------------------------


def four_eyes() -> World:
    world = refusing(2, Policy(approvals=("dismiss", "release")))
    assert len(world.exceptions()) == 2
    return world


def test_what_needs_four_eyes_happens_when_somebody_else_approves() -> None:
    world = four_eyes()
    row = world.exceptions()[0]
    told = desk_of(world).decide(PLANT, ev.FactDismissed(row.position, "ann", "trial run", row.ordinal))
    assert (told.came_of, world.fates()) == ("proposed", {"exception": 2})
    (proposal,) = desk_of(world).queue.proposals()
    assert (proposal.verb, proposal.by, proposal.about) == ("dismiss", "ann", f"{PLANT}:{row.position}.{row.ordinal}")
    with pytest.raises(NotFitting, match="a second person must approve"):
        desk_of(world).decide(PLANT, ev.DecisionApproved(proposal.position, "ann"))
    world.own(ev.DecisionApproved(proposal.position, "ann"))
    world.step()
    assert world.fates() == {"exception": 2}, "also when it goes around the desk"
    assert desk_of(world).decide(PLANT, ev.DecisionApproved(proposal.position, "bob")).came_of == "done"
    assert world.fates() == {"dismissed": 1, "exception": 1}
    assert {fact.reference for fact in world.facts() if fact.fate == "dismissed"} == {"ann, approved by bob: trial run"}
    assert desk_of(world).queue.proposals() == []


def test_what_is_denied_does_not_happen() -> None:
    world = four_eyes()
    row = world.exceptions()[0]
    told = desk_of(world).decide(PLANT, ev.FactDismissed(row.position, "ann", "trial run", row.ordinal))
    desk_of(world).decide(PLANT, ev.DecisionDenied(told.position, "bob", "it was no trial"))
    assert (world.fates(), desk_of(world).queue.proposals()) == ({"exception": 2}, [])
    view = desk_of(world).queue.exception(PLANT, (row.position, row.ordinal))
    assert [each.what for each in view.history] == ["proposed to dismiss it", "denied what ann had proposed: it was no trial"]


def test_a_dry_run_of_what_needs_four_eyes_shows_what_an_approval_would_do() -> None:
    world = four_eyes()
    (told,) = desk_of(world).release(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "ann"), dry_run=True)
    assert told.foreseen is not None
    assert told.foreseen.made.count == 2
    assert told.warnings == ("a second person must approve it: this plant's policy wants four eyes to release",)


def test_what_the_policy_does_not_name_needs_nobody_else() -> None:
    world = four_eyes()
    row = world.exceptions()[0]
    assert desk_of(world).decide(PLANT, ev.PostingRetried(row.posting, "ann")).came_of == "done"


# --- what others booked --------------------------------------------------------------------------------------------------------


def by_hand(world: World, amount: int = 5, order: str = "4700", kind: PostingKind = PostingKind.RECEIPT, days: int = 0) -> None:
    line = Line("GEAR", ea(amount), "FG")
    world.tell(ev.DocumentBooked("by-hand-1", kind, (line,), order, world.time.date() + timedelta(days=days)), source="erp")
    world.step()


def test_what_looks_like_a_document_of_others_is_sent_again_only_by_who_is_sure() -> None:
    world = refusing(2)
    by_hand(world)
    head = world.log.head()
    first, second = sorted(world.exceptions(), key=lambda row: row.order)
    for decide in (
        lambda: desk_of(world).decide(PLANT, ev.PostingRetried(first.posting, "ann")),
        lambda: desk_of(world).release(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "ann")),
    ):
        with pytest.raises(NotFitting, match="looks like document by-hand-1, which somebody booked in ERP"):
            decide()
    assert world.log.head() == head
    foreseen = desk_of(world).decide(PLANT, ev.PostingRetried(first.posting, "ann"), dry_run=True)
    assert "by-hand-1" in foreseen.warnings[0]
    assert desk_of(world).decide(PLANT, ev.PostingRetried(second.posting, "ann")).came_of == "done", "another order's is another matter"
    assert desk_of(world).decide(PLANT, ev.PostingRetried(first.posting, "ann"), sure=True).came_of == "done"


def test_only_a_lookalike_asks_whether_somebody_is_sure() -> None:
    """Another warning says nothing about documents, and one may come between reading it and confirming."""
    world = refusing(1, Policy(approvals=("retry", "release")))
    decide = (
        lambda: desk_of(world).decide(PLANT, ev.PostingRetried(only(world).posting, "ann"), dry_run=True),
        lambda: desk_of(world).release(ev.CauseReleased(Category.UNKNOWN_ITEM, "item GEAR", "ann"), dry_run=True)[0],
    )
    for each in decide:
        assert (len(each().warnings), each().lookalikes) == (1, ())
    by_hand(world)
    for each in decide:
        assert len(each().warnings) == 2
        assert "by-hand-1" in each().lookalikes[0]


@pytest.mark.parametrize(
    ("amount", "order", "kind"), [(4, "4700", PostingKind.RECEIPT), (5, "4799", PostingKind.RECEIPT), (5, "4700", PostingKind.SCRAP)]
)
def test_another_quantity_order_or_kind_is_no_lookalike(amount: int, order: str, kind: PostingKind) -> None:
    world = refusing(1)
    by_hand(world, amount, order, kind)
    assert desk_of(world).decide(PLANT, ev.PostingRetried(only(world).posting, "ann")).came_of == "done"


@pytest.mark.parametrize(("days", "alike"), [(-1, False), (0, True), (1, True), (9, True)])
def test_people_book_what_was_refused_on_its_day_or_later(days: int, alike: bool) -> None:
    world = refusing(1)
    by_hand(world, days=days)
    foreseen = desk_of(world).decide(PLANT, ev.PostingRetried(only(world).posting, "ann"), dry_run=True)
    assert bool(foreseen.lookalikes) == alike


def test_a_lookalike_does_not_go_on_by_itself_when_its_cause_is_put_right() -> None:
    world = refusing(2)
    by_hand(world)
    world.master(ev.ItemChanged("GEAR", "EA"))
    assert [(row.order, "by-hand-1" in row.remedy) for row in world.exceptions()] == [("4700", True)]
    assert [document.order for document in world.documents()] == ["4701"]
    world.master(ev.ItemChanged("GEAR", "EA", description="again"))
    assert only(world).remedy.count("by-hand-1") == 1


# --- payloads ------------------------------------------------------------------------------------------------------------------


def payload(order: str, good: str) -> str:
    return msgspec.json.encode({"type": "production.reported", "order": order, "good": {"amount": good, "unit": "EA"}}).decode()


def test_a_payload_is_corrected_and_the_message_stays_as_it_came() -> None:
    world = World()
    world.order()
    garbled = Message(PLANT, "mes", "m-1", NATIVE, world.time, b'{"type": "production.reported", "order": 4711}', occurred=world.time)
    (at,) = world.log.append([garbled])
    world.step()
    assert world.fate(at) == "exception"
    desk = desk_of(world)
    foreseen = desk.correct_payload(PLANT, at, payload("4711", "5"), "ann", "it was five", dry_run=True)
    assert foreseen.foreseen is not None
    assert foreseen.foreseen.made.count == 1
    assert world.fate(at) == "exception"
    assert desk.correct_payload(PLANT, at, payload("4711", "5"), "ann", "it was five").came_of == "done"
    assert (world.fate(at), [document.order for document in world.documents()]) == ("booked", ["4711"])
    assert world.log.read({PLANT: at - 1}, 1)[PLANT][0].message == garbled
    assert desk.queue.audit(1)[0].decision["payload"] == payload("4711", "5")


def test_a_payload_that_is_none_or_changes_nothing_is_refused() -> None:
    world = World()
    world.order()
    at = world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    head = world.log.head()
    for text, why in (("{", "no canonical event"), (payload("4711", "-5"), "can't be negative"), (payload("4711", "5"), "says already")):
        with pytest.raises(NotFitting, match=why):
            desk_of(world).correct_payload(PLANT, at, text, "ann", "x")
    with pytest.raises(NotFitting, match="reason must have"):
        desk_of(world).correct_payload(PLANT, at, payload("4711", "6"), "ann", "")
    with pytest.raises(Unknown, match="no fact at position 999"):
        desk_of(world).correct_payload(PLANT, 999, payload("4711", "6"), "ann", "x")
    assert world.log.head() == head


def test_an_unknown_lot_goes_on_when_its_first_receipt_is_booked() -> None:
    world = World()
    world.order()
    world.order("4712", item="SHAFT", components=(ev.Component("GEAR", ea(1), "FG"),))
    world.tell(ev.MaterialConsumed("4712", "GEAR", ea(1), lot="L1", location="FG"))
    world.run(3 * 3600, pace=600)
    assert [(row.category, row.subject) for row in world.exceptions()] == [(Category.UNKNOWN_LOT, "lot L1 of item GEAR")]
    world.tell(ev.ProductionReported("4711", good=ea(1), lot="L2"))
    world.step()
    assert len(world.exceptions()) == 1, "another lot is another matter"
    world.tell(ev.ProductionReported("4711", good=ea(1), lot="L1"))
    world.step()
    assert world.exceptions() == []
    assert world.fates() == {"booked": 3}

"""The fold: one message changes a plant. The same messages in the same order give the same state, whatever the batches were."""

from __future__ import annotations

from datetime import date, datetime
from decimal import getcontext
from functools import lru_cache, partial
from typing import Final, get_args
from zoneinfo import ZoneInfo

import msgspec

from synchromesh.model import event as ev
from synchromesh.model import subject
from synchromesh.model.instant import micros
from synchromesh.model.message import ENTERPRISE
from synchromesh.model.posting import Category
from synchromesh.model.quantity import EXACT
from synchromesh.plant import (
    agenda,
    causes,
    corrections,
    decisions,
    exceptions,
    forwarding,
    gathers,
    lanes,
    masterdata,
    outcomes,
    paged,
    periods,
    postings,
    reconciling,
    recording,
    release,
    rules,
    waiting,
)
from synchromesh.plant.act import Act, Missing, Refused
from synchromesh.plant.entities import Decision, Lane, Said
from synchromesh.plant.fact import BY_POLICY, FOR_EVER, Told
from synchromesh.plant.fates import Fate
from synchromesh.plant.postings import Cut
from synchromesh.plant.rows import FactRow
from synchromesh.plant.view import AHEAD, View

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
# Members are looked up once: asking the enumeration costs as much as an addition.
_RECORDED: Final = Fate.RECORDED
_BOOKING: Final = Fate.BOOKING
_BOOKED: Final = Fate.BOOKED
_WAITING: Final = Fate.WAITING
_zone = lru_cache(maxsize=64)(ZoneInfo)
_ENTERPRISE: Final = frozenset(get_args(ev.EnterpriseEvent))
_TYPES: Final[dict[type[ev.Event], str]] = {type_: str(type_.__struct_config__.tag) for type_ in rules.RULES} | {
    ev.FactCorrected: "correction.corrected",
    ev.FactCancelled: "correction.cancelled",
}


def fold(view: View, told: Told) -> None:
    """Fold one message into the view. Whatever the message says, this returns; only a defect of ours raises.

    To be called within `exactly()`, so that no sum of decimals is ever rounded.
    """
    assert getcontext() is EXACT, "a fold computes exactly"
    view.begin(told.position)
    clock = view.clock()
    received = micros(told.received)
    clock.now = max(clock.now, received)
    if told.own:
        view.totals().others += 1
        for event in told.events:
            _own(view, event, told)
        return
    horizon = view.policy.horizon_days * 86_400 if told.horizon == BY_POLICY else told.horizon
    if horizon != clock.horizon and clock.horizon >= 0:
        clock.horizon = FOR_EVER if horizon < 0 else max(clock.horizon, horizon)
    identity = (told.source, told.id)
    first = view.known(identity)
    if first is not None:
        _repeated(view, told, first)
        return
    view.remember(identity, told.position)
    kind = type(told.events[0]) if told.events else None
    if kind in _ENTERPRISE:
        view.totals().others += 1
        for ordinal, event in enumerate(told.events):
            _enterprise(view, event, told, ordinal)
        return
    row = _row(told, received)
    if kind is not ev.InputEnded:
        view.totals().facts += 1
        _fact(view, told, row, horizon)
        waiting.told(view, told.source, told.id)
    else:
        view.totals().others += 1
        rules.apply(view, _act(view, row), told.events[0])


def _row(told: Told, received: int) -> FactRow:
    occurred = micros(told.occurred) if told.occurred is not None else 0
    type_ = _TYPES.get(type(told.events[0]), "") if told.events else ""
    return FactRow(told.position, told.source, told.id, type_, received, occurred, "", "", _RECORDED, "", 0, 0, 0, told.told)


# --- Synchromesh's own messages -----------------------------------------------------------------------------------------------


def _own(view: View, event: ev.CanonicalEvent, told: Told) -> None:
    match event:
        case ev.OutcomesReported():
            for outcome in event.outcomes:
                outcomes.learn(view, outcome)
        case ev.Tick():
            _tick(view, event)
        case ev.Activated():
            _activate(view, event)
        case ev.Quarantined():
            pass  # the worker has set the message aside: its own fold says so
        case ev.InputEnded():
            rules.apply(view, _act(view, _row(told, micros(told.received))), event)
        case _ if isinstance(event, ev.DecisionEvent):
            decisions.decide(view, event, decisions.Means(told.received, _retell, partial(_adjusted, told)))
        case ev.Reconciled():
            reconciling.keep(view, event)
        case _:
            raise TypeError(f"{type(event).__name__} is not a message of our own")


def _adjusted(told: Told, view: View, fact: ev.StockAdjusted) -> None:
    """An approved correction of stock is a fact like one that a source tells, so that it can be traced, sent again and dismissed."""
    totals = view.totals()
    totals.others -= 1
    totals.facts += 1
    row = _row(msgspec.structs.replace(told, events=(fact,), told=_encode((fact,))), micros(told.received))
    _tell(view, row, (fact,))


def _activate(view: View, event: ev.Activated) -> None:
    """From here on this decides. What a policy was before is kept: facts are taken back by the policy that they were applied by."""
    name = f"{event.kind}/{event.name}"
    known = view.of(Decision, "decision", name) if event.kind == "policy" else None
    earlier = [*known.earlier, (known.position, known.content)] if known is not None else []
    view.put("decision", name, Decision(event.digest, event.content, view.position, earlier))


def _tick(view: View, event: ev.Tick) -> None:
    clock = view.clock()
    clock.now = max(clock.now, micros(event.now))
    if clock.resuming:
        _work_off(view, clock.resuming[0])
    for what in agenda.due(view):
        kind, _, name = what.partition(":")
        if kind == "silence":
            gathers.quiet(view, name)
        elif kind + ":" == postings.PATIENCE:
            postings.lose_patience(view, name)
        elif kind == "late":
            waiting.late(view, name)


def _work_off(view: View, name: str) -> None:
    """One page of the oldest list that is being worked off. A thing that is not there after all is waited for again."""
    there = True
    if name.startswith(causes.LIST):
        if release.step(view, name.removeprefix(causes.LIST), _retell):
            view.clock().resuming.remove(name)
        return
    if name.startswith(waiting.WAITING):
        there = waiting.resume(view, name.removeprefix(waiting.WAITING), _retell, _chain)
    elif name.startswith(periods.LIST):
        for id_ in periods.freed(view, name):
            lanes.let_go(view, id_, periods.hold(name.removeprefix(periods.LIST)))
    else:
        for lane_name in paged.take(view, name):
            lane = view.lane(lane_name)
            if lane.gather is not None and "source:" + lane.gather.source == name:
                gathers.close(view, lane_name, lane)
    if view.get("list", name) is None or not there:
        view.clock().resuming.remove(name)
        if there and name.startswith(waiting.WAITING):
            waiting.worked_off(view, name.removeprefix(waiting.WAITING))


def _enterprise(view: View, event: ev.CanonicalEvent, told: Told, ordinal: int) -> None:
    assert isinstance(event, ev.EnterpriseEvent), "one message speaks of one family"
    if view.partition == ENTERPRISE:
        forwarding.hand_on(view, event, told.source, told.received, ordinal)
    else:
        masterdata.record(view, event)


# --- facts ---------------------------------------------------------------------------------------------------------------


def _repeated(view: View, told: Told, first: int) -> None:
    """Told before under this identity: a duplicate when it says the same, else an exception, and never booked again."""
    original = view.fact(first)
    if original is None:
        view.totals().others += 1
        return
    view.totals().facts += 1
    row = _row(told, micros(told.received))
    row.order, row.lot = original.order, original.lot
    row.fate, row.reference = Fate.DUPLICATE, str(first)
    if original.told != told.told and not _said(view, original, told):
        row.fate = Fate.EXCEPTION
        row.reference = f"differs from the fact at position {first}, which has the same identity"
        exceptions.open_fact(
            view,
            told.position,
            Category.DUPLICATE,
            subject.message(told.source, told.id),
            f"Message {told.id} of {told.source} came again with other content than at position {first}; the first one counts.",
            "If both happened, report the second under an identity of its own; else dismiss this.",
            original.order,
        )
    view.count(Fate(row.fate), 1)
    _chain(view, row)


def _said(view: View, original: FactRow, told: Told) -> bool:
    """Whether a fact's message said this at first, before it was told anew; or the fact says it now, since people or a mended mapping have
    put it right."""
    first = view.of(Said, "said", str(original.position))
    return (first is not None and first.told == told.told) or (bool(told.events) and corrections.current(view, original)[0] == told.events)


def _fact(view: View, told: Told, row: FactRow, horizon: int) -> None:
    problem = _unusable(view, told, horizon, view.clock().now - row.occurred)
    if problem is not None:
        row.fate, row.reference = Fate.EXCEPTION, problem[2]
        view.count(Fate.EXCEPTION, 1)
        exceptions.open_fact(view, told.position, *problem)
        _chain(view, row)
    elif told.recorded:
        row.reference = told.recorded
        view.count(Fate.RECORDED, 1)
        _chain(view, row)
    else:
        _tell(view, row, told.events)


def _unusable(view: View, told: Told, horizon: int, age: int) -> tuple[Category, str, str, str] | None:
    """Why a message of this age, in microseconds, can be no fact at all: category, subject, sentence, remedy."""
    if told.refused:
        about = told.subject or subject.interface(told.interface)
        return Category.INVALID, about, told.refused, "Correct the message at its source, or the adapter, and send it again."
    if SEPARATOR_IN_JSON in told.told:
        return (
            Category.INVALID,
            subject.interface(told.interface),
            f"Message {told.id} of {told.source} has the control character U+001F in a name, which no plant's name has.",
            "Leave control characters out at the source, and send it again.",
        )
    if view.partition == ENTERPRISE:
        return (
            Category.INVALID,
            subject.partition(ENTERPRISE),
            "A fact of a plant was sent to the enterprise partition.",
            "Send it to the plant that it belongs to.",
        )
    if horizon >= 0 and told.source != decisions.REPAIR and (told.occurred is None or not -AHEAD <= age <= horizon * 1_000_000):
        return (
            Category.INVALID,
            subject.interface(told.interface),
            f"Message {told.id} of {told.source} {_no_age(told, age)}, so it cannot be told from a repeat.",
            "Check in ERP whether it is booked; then dismiss it, or send it with a time and an identity of its own.",
        )
    return None


def _no_age(told: Told, age: int) -> str:
    """Why a message's age says nothing. Identities outlive the horizon by what a clock may be ahead."""
    if told.occurred is None:
        return "has no time of its own"
    return "lies in the future" if age < 0 else "is older than its interface's horizon"


def _retell(view: View, row: FactRow) -> None:
    """Fold a fact that has waited, as if it were told now."""
    chained = bool(row.order) and not _waits_for_its_order(row)
    row.fate, row.reference, row.applied = Fate.RECORDED, "", view.position
    _tell(view, row, corrections.decode_told(row.told), chained)
    gathers.end_again(view, row)


def _tell(view: View, row: FactRow, events: tuple[ev.CanonicalEvent, ...], chained: bool = False) -> None:
    """Fold a fact whole, or let it wait whole, or open an exception about it. `chained`: it stands in its order's chain already."""
    try:
        for event in events:
            rules.require(view, event)
    except Missing as missing:
        row.order = row.order or missing.order or _order_of(events[0])
        waiting.wait(view, row, missing.name, row.order)
    except Refused as refused:
        row.order = row.order or refused.order
        row.fate, row.reference = Fate.EXCEPTION, refused.sentence
        view.count(Fate.EXCEPTION, 1)
        exceptions.open_fact(view, row.position, refused.category, refused.subject, refused.sentence, refused.remedy, row.order)
    else:
        act = _act(view, row)
        act.operation = _operation_of(events[0])
        if view.policy.gather == "operation":
            _turn_over(view, events, act.operation)
        for event in events:
            rules.apply(view, act, event)
        row.order, row.lot = act.order or row.order, act.lot
        _settle(view, act, row)
    _chain(view, row, chained)


def _operation_of(event: ev.CanonicalEvent) -> str:
    named: str = getattr(event.event if type(event) is ev.FactCorrected else event, "operation", "")
    return named


def _turn_over(view: View, events: tuple[ev.CanonicalEvent, ...], operation: str) -> None:
    """A fact of another operation closes the gather of the one before, before it adds anything itself."""
    for name in dict.fromkeys(_order_of(event) for event in events):
        order = view.order(name) if name else None
        if order is not None and order.lane.gather is not None and order.lane.gather.operation != operation:
            view.touch("order", name)
            gathers.close(view, "order:" + name, order.lane)


def _order_of(event: ev.CanonicalEvent) -> str:
    return str(getattr(event, "order", ""))


def _act(view: View, row: FactRow) -> Act:
    return Act(row.position, row.source, local_day(view.policy.zone, row.occurred or row.received))


def local_day(zone: str, moment: int) -> date:
    """The plant's calendar day at a moment."""
    return _day(zone, moment // 1_000_000)


@lru_cache(maxsize=1024)
def _day(zone: str, second: int) -> date:
    """Remembered, because the facts of a busy second share their day and a zone is slow to ask."""
    return datetime.fromtimestamp(second, _zone(zone)).date()


def _settle(view: View, act: Act, row: FactRow) -> None:
    """Decide what the fact has opened: at once, or into the gather of its order. The first lane it touched counts the fact."""
    row.fate, row.reference = _RECORDED, act.rule
    facts = 1
    if view.policy.booking == "record":
        row.reference = recording.BY_ERP if act.lanes else act.rule
        recording.record(view, act)
        view.count(_RECORDED, facts)
        return
    for lane_name, lane in act.lanes.items():
        group = _book(view, act, lane_name, lane, facts)
        if group and facts:
            row.fate, row.reference, row.group, facts = _BOOKED, "", group, 0
        elif facts:
            row.reference = NEVER_BOOKED if act.original else CARRIED
    for lane_name in act.closes:
        gathers.close(view, lane_name, view.lane(lane_name))
    if act.order and _complete(view, act, facts) and facts:
        row.fate, row.reference, row.group, facts = _BOOKED, "", act.position, 0
    if facts:
        view.count(_RECORDED, facts)


SEPARATOR_IN_JSON: Final = b"\\u001f"
"""How the separator of keys (`stock.SEPARATOR`) is written in canonical JSON: a name with it would be taken for several."""

CARRIED: Final = "too little to book: the rest is carried to the next posting"
NEVER_BOOKED: Final = "what it takes back was not booked yet and will not be"


def _book(view: View, act: Act, lane_name: str, lane: Lane, facts: int) -> int:
    """The group that books the fact in this lane: the gather it joined, its own position, or 0 when there is nothing to book."""
    at_once = lane.gather is None and (act.original or view.policy.gather == "report")
    if at_once or not lane_name.startswith("order:"):
        cut = Cut(act.position, act.ordinal, act.position, facts, act.effective, view.clock().now, act.original)
        made = gathers.decide(view, lane_name, lane, cut)
        act.ordinal = cut.ordinal
        if not made:
            return 0
        view.count(_BOOKING, facts)
        return act.position
    gather = gathers.join(view, lane_name, lane, act, facts)
    view.count(Fate.GATHERED, facts)
    if gathers.ripe(view, lane):
        gathers.close(view, lane_name, lane)
    return gather.position


def _complete(view: View, act: Act, facts: int) -> bool:
    """Complete the order that the fact is about, when the plant is done with it."""
    order = view.order(act.order)
    if order is None or not order.completed or order.completion:
        return False
    view.touch("order", act.order)
    cut = Cut(act.position, act.ordinal, act.position, facts, act.effective, view.clock().now)
    if not postings.complete(view, order, cut):
        return False
    view.count(_BOOKING, facts)
    return True


def _waits_for_its_order(row: FactRow) -> bool:
    """Whether the fact waits for the very order whose chain it belongs to: it is linked when it goes on, whether or not the order has come
    meanwhile."""
    return row.fate == _WAITING and row.reference == subject.order(row.order)


def _chain(view: View, row: FactRow, chained: bool = False) -> None:
    """Link the fact to the one before it of its order and of its lot: what a trace walks. Linked once, so that no chain is a circle."""
    position = row.position
    if row.order and not chained and not _waits_for_its_order(row):
        order = view.order(row.order)
        if order is not None and order.last_fact != position:
            row.previous, order.last_fact = order.last_fact, position
            view.touch("order", row.order)
    if row.lot:
        lot = view.lot(row.lot)
        if lot is not None and lot.last_fact != position:
            row.previous_of_lot, lot.last_fact = lot.last_fact, position
            view.touch("lot", row.lot)
    view.put_fact(row)

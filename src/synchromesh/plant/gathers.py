"""Gathers: many facts, one set of documents. A gather closes by its event, by quantity, by silence, or because something needs
what it holds; what comes later opens a new one and is supplementary."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Final

from synchromesh.model.posting import PostingKind
from synchromesh.plant import agenda, cutting, paged, stock
from synchromesh.plant.act import Act
from synchromesh.plant.entities import Balance, Gather, Lane, Source
from synchromesh.plant.fates import Fate
from synchromesh.plant.postings import BACKFLUSH, ORDINALS, Cut, total_in
from synchromesh.plant.rows import FactRow
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import View

_TAKING: Final = tuple(kind + SEPARATOR for kind in (PostingKind.ISSUE, PostingKind.TRANSFER, PostingKind.SCRAP))
"""How the keys of sums that take from stock begin."""


def join(view: View, lane_name: str, lane: Lane, act: Act, facts: int) -> Gather:
    """The fact joins the lane's gather, which is opened if there is none. The gather's day is the latest of its facts."""
    now = view.clock().now
    gather = lane.gather
    if gather is None:
        gather = Gather(act.position, act.ordinal, 0, now, now, act.source, act.effective.isoformat(), act.operation)
        lane.gather = gather
        act.ordinal += ORDINALS
        silence = view.policy.gather_silence_seconds
        if silence:
            agenda.remind(view, now + silence * 1_000_000, "silence:" + lane_name)
        paged.append(view, "source:" + act.source, lane_name)
    gather.facts += facts
    gather.touched = now
    gather.effective = max(gather.effective, act.effective.isoformat())
    _feed(view, lane_name, lane, gather)
    return gather


def end_again(view: View, row: FactRow) -> None:
    """A fact that had waited was told in its turn: when its source has ended since it came, nothing else closes the gather it joined."""
    source = view.of(Source, "source", row.source) if view.policy.gather != "report" else None
    if source is not None and source.ended > row.position:
        agenda.resume(view, "source:" + row.source)


def ripe(view: View, lane: Lane) -> bool:
    """Whether the gather is to be closed now: it holds as much good output as the policy lets it, or somebody waits for what it holds."""
    gather = lane.gather
    if gather is None or view.policy.gather == "report":
        return True
    if any((balance := view.of(Balance, "stock", place)) is not None and balance.queue for place in gather.feeds):
        return True
    limit = view.policy.gather_quantity
    return bool(limit) and sum(_outstanding(view, lane, key) for key in lane.open if _is_good_output(key)) >= limit


def _is_good_output(key: str) -> bool:
    kind, _, _, _, status = key.split(SEPARATOR)[:5] if key != BACKFLUSH else ("",) * 5
    return kind == PostingKind.RECEIPT and not status


def _outstanding(view: View, lane: Lane, key: str) -> Fraction:
    """What a sum has reported and not decided, in its item's unit."""
    line = lane.sums[key]
    item = view.item(key.split(SEPARATOR)[1])
    assert item is not None, "what is summed is known"
    return Fraction(total_in(line.reported, line.unit, item)) - Fraction(line.decided)


def _feed(view: View, lane_name: str, lane: Lane, gather: Gather) -> None:
    """Note which balances the gather will raise, so that whoever needs them can close it."""
    for key in lane.open:
        parts = key.split(SEPARATOR)
        if parts[0] == PostingKind.RECEIPT:
            place = stock.place(*parts[1:6])
            if place not in gather.feeds:
                gather.feeds.append(place)
                balance = view.balance(place)
                if lane_name not in balance.feeders:
                    balance.feeders += (lane_name,)


def close(view: View, lane_name: str, lane: Lane) -> None:
    """Cut the gather's postings; its facts are on their way, or recorded when nothing is left to book."""
    gather = lane.gather
    if gather is None:
        return
    lane.gather = None
    for place in gather.feeds:
        balance = view.balance(place)
        balance.feeders = tuple(other for other in balance.feeders if other != lane_name)
    day = date.fromisoformat(gather.effective)
    cut = Cut(gather.position, gather.base, gather.position, gather.facts, day, view.clock().now)
    made = decide(view, lane_name, lane, cut)
    view.move(Fate.GATHERED, Fate.BOOKING if made else Fate.RECORDED, gather.facts)


def decide(view: View, lane_name: str, lane: Lane, cut: Cut) -> int:
    """Cut postings for what is open in a lane, after closing other lanes' gathers that hold stock which these need."""
    if BACKFLUSH in lane.open:
        cutting.backflush(view, lane_name, lane)
    for key in list(lane.open):
        if key.startswith(_TAKING):
            balance = view.balance(stock.place(*key.split(SEPARATOR)[1:6]))
            if balance.feeders and balance.booked + balance.pending - balance.claimed < _outstanding(view, lane, key):
                for feeder in balance.feeders:
                    if feeder != lane_name:
                        close(view, feeder, view.lane(feeder))
    return cutting.decide(view, lane_name, lane, cut)


def quiet(view: View, lane_name: str) -> None:
    """The reminder of a silence has come: close the gather, or remind again when something was added since."""
    lane = view.lane(lane_name)
    if lane.gather is None:
        return
    due = lane.gather.touched + view.policy.gather_silence_seconds * 1_000_000
    if due <= view.clock().now:
        close(view, lane_name, lane)
    else:
        agenda.remind(view, due, "silence:" + lane_name)

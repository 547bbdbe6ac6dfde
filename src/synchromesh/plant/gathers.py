"""Gathers: many facts, one set of documents. A gather closes by its event, by quantity, by silence, or because something needs
what it holds; what comes later opens a new one and is supplementary."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from synchromesh.model.posting import PostingKind
from synchromesh.plant import agenda, paged, postings, stock
from synchromesh.plant.act import Act
from synchromesh.plant.entities import Gather, Lane
from synchromesh.plant.fates import Fate
from synchromesh.plant.postings import Cut
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import View

_TAKING: Final = tuple(kind + SEPARATOR for kind in (PostingKind.ISSUE, PostingKind.TRANSFER, PostingKind.SCRAP))
"""How the keys of sums that take from stock begin."""

ORDINALS: Final = 1000
"""Ordinals reserved for a gather's postings at the message that opened it: more than the kinds and operations of any order."""


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


def full(view: View, lane: Lane) -> bool:
    """Whether the gather holds as much good output as the policy lets it."""
    limit = view.policy.gather_quantity
    if not limit:
        return False
    good = sum(
        (amount for key in lane.open if key.startswith(PostingKind.RECEIPT) for amount in lane.sums[key].reported.values()), Decimal(0)
    )
    decided = sum((lane.sums[key].decided for key in lane.open if key.startswith(PostingKind.RECEIPT)), Decimal(0))
    return good - decided >= limit


def _feed(view: View, lane_name: str, lane: Lane, gather: Gather) -> None:
    """Note which balances the gather will raise, so that whoever needs them can close it."""
    for key in lane.open:
        parts = key.split(SEPARATOR)
        if parts[0] == PostingKind.RECEIPT:
            place = stock.place(*parts[1:6])
            if place not in gather.feeds:
                gather.feeds.append(place)
                view.balance(place).feeders[lane_name] = None


def close(view: View, lane_name: str, lane: Lane) -> None:
    """Cut the gather's postings; its facts are on their way, or recorded when nothing is left to book."""
    gather = lane.gather
    if gather is None:
        return
    lane.gather = None
    for place in gather.feeds:
        view.balance(place).feeders.pop(lane_name, None)
    day = date.fromisoformat(gather.effective)
    cut = Cut(gather.position, gather.base, gather.position, gather.facts, day, view.clock().now)
    made = decide(view, lane_name, lane, cut)
    view.move(Fate.GATHERED, Fate.BOOKING if made else Fate.RECORDED, gather.facts)


def decide(view: View, lane_name: str, lane: Lane, cut: Cut) -> int:
    """Cut postings for what is open in a lane, after closing other lanes' gathers that hold stock which these need."""
    for key in list(lane.open):
        if key.startswith(_TAKING):
            balance = view.balance(stock.place(*key.split(SEPARATOR)[1:6]))
            if balance.feeders and balance.booked + balance.pending - balance.claimed < sum(lane.sums[key].reported.values()):
                for feeder in list(balance.feeders):
                    if feeder != lane_name:
                        close(view, feeder, view.lane(feeder))
    return postings.decide(view, lane_name, lane, cut)


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

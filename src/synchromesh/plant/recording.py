"""Facts of a plant that ERP books by itself: they move the reported ledger and count as decided, and no posting is made of them."""

from __future__ import annotations

from typing import Final

from synchromesh.model.rounding import rounded
from synchromesh.plant import cutting
from synchromesh.plant.act import Act
from synchromesh.plant.entities import Lane
from synchromesh.plant.postings import BACKFLUSH, places_of, total_in
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import View

BY_ERP: Final = "ERP books this plant by itself"
"""Why nothing is booked."""


def record(view: View, act: Act) -> None:
    """Settle what the fact has opened without booking it."""
    for name, lane in act.lanes.items():
        if BACKFLUSH in lane.open:
            cutting.backflush(view, name, lane)
        for key in lane.open:
            _decide(view, lane, key)
        lane.open = {}
        if lane.confirmed and lane.seconds is not None:
            for operation in lane.confirmed:
                labour, machine = lane.seconds[operation][:2]
                lane.seconds[operation] = [labour, machine, labour, machine]
            lane.confirmed = ()


def _decide(view: View, lane: Lane, key: str) -> None:
    """What was reported counts as decided from now on, so that it is not booked when the policy changes."""
    total = lane.sums[key]
    item = view.item(key.split(SEPARATOR)[1])
    assert item is not None, "what is summed is known"
    amount = rounded(total_in(total.reported, total.unit, item), item.decimals) - total.decided
    total.decided += amount
    for place, sign in places_of(key):
        view.balance(place).unbooked += sign * amount

"""What is due when. A plant's time moves only by the received times in its log and by ticks; nothing here looks at a clock."""

from __future__ import annotations

from bisect import bisect_right, insort

from synchromesh.plant.entities import Clock, Names
from synchromesh.plant.view import View

BUCKET = 1_000_000
"""Reminders are kept by the second (in microseconds): a reminder comes up to one second late, never early."""


def remind(view: View, when: int, what: str) -> None:
    """Remember `what` for the first tick at or after `when`."""
    bucket = when // BUCKET + 1
    page = view.made(Names, "agenda", str(bucket))
    if not page.names:
        insort(view.clock().due, bucket)
    page.names.append(what)


def due(view: View) -> list[str]:
    """Everything whose time has come, oldest first; it is forgotten here."""
    clock = view.clock()
    count = bisect_right(clock.due, clock.now // BUCKET)
    found: list[str] = []
    for bucket in clock.due[:count]:
        page = view.of(Names, "agenda", str(bucket))
        found += page.names if page is not None else []
        view.drop("agenda", str(bucket))
    clock.due = clock.due[count:]
    return found


def next_tick(clock: Clock | None) -> int | None:
    """When the partition next needs a tick, in microseconds since 1970; 0 for at once, None for not at all."""
    if clock is None:
        return None
    if clock.resuming:
        return 0
    return clock.due[0] * BUCKET if clock.due else None


def resume(view: View, name: str) -> None:
    """Work this list off, a page a tick."""
    clock = view.clock()
    if name not in clock.resuming:
        clock.resuming.append(name)

"""The fates: where each fact is. Every fact has exactly one, and they sum to the facts received (law 6)."""

from __future__ import annotations

import enum


class Fate(enum.StrEnum):
    """Where a fact is. The first three live in the fact's group while its row says BOOKED: its postings tell which."""

    GATHERED = "gathered"
    """In a gather that is still open."""
    BOOKING = "booking"
    """Its postings are decided and on their way."""
    BOOKED = "booked"
    """Every posting of its group is in the business system's books."""
    RECORDED = "recorded"
    """Kept, and by a stated rule not booked; the reference is the rule."""
    DUPLICATE = "duplicate"
    """Told before; the reference is the first telling's position."""
    WAITING = "waiting"
    """For something unknown; the reference is its name."""
    EXCEPTION = "exception"
    """A person must look; the reference is why."""
    DISMISSED = "dismissed"
    """A person decided that it shall not be booked; the reference is who and why."""

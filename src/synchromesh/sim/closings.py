"""Posting periods in a simulated ERP: when which days are closed and opened again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from synchromesh.model.event import PeriodChanged
from synchromesh.sim.chance import Chance

CLOSED_DAY: Final = date(2026, 3, 2)
"""The first day of every night."""

CLOSING: Final = datetime(2026, 3, 3, 1, tzinfo=UTC)
"""When that day's period is closed where nothing is opened again: while late facts about it are still on their way."""


class Closing(NamedTuple):
    """At `at` somebody in accounting says this of a period."""

    at: datetime
    period: PeriodChanged


def once() -> list[Closing]:
    """The first day is closed, and for good."""
    return [Closing(CLOSING, PeriodChanged(CLOSED_DAY, CLOSED_DAY, open=False))]


def again_and_again(seed: int) -> list[Closing]:
    """Days are closed around the facts, too early as often as too late, opened again in whole or in part, and mostly open in the end."""
    chance = Chance(seed, "periods")
    at = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
    words = []
    for _ in range(chance.whole(2, 5)):
        at += timedelta(minutes=chance.whole(60, 720))
        first = CLOSED_DAY + timedelta(days=chance.whole(-1, 1))
        last = first + timedelta(days=chance.whole(0, 1))
        words.append(Closing(at, PeriodChanged(first, last, open=False)))
        at += timedelta(minutes=chance.whole(30, 600))
        if chance.happens(0.6):
            words.append(Closing(at, PeriodChanged(first, chance.one((first, last)), open=True)))
    if chance.happens(0.8):
        at += timedelta(hours=chance.whole(1, 30))
        words.append(Closing(at, PeriodChanged(CLOSED_DAY - timedelta(days=1), CLOSED_DAY + timedelta(days=3), open=True)))
    return words

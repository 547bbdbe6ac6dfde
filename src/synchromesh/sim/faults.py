"""What happens between plant and log: repeats, disorder, delay, damage, and identities that are used twice.

All of it from one seed and in virtual time. What a fault does to the truth is decided here and nowhere else: a damaged copy that is told
again goes out under an identity of its own; a fact that is damaged for ever leaves the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from synchromesh.model.event import (
    FactCancelled,
    FactCorrected,
    InputEnded,
    MaterialConsumed,
    OperationCompleted,
    OrderStarted,
    ProductionReported,
    TimeRecorded,
)
from synchromesh.model.message import Message
from synchromesh.sim.chance import Chance
from synchromesh.sim.told import FactId, Told


class Rates(msgspec.Struct, frozen=True):
    """How often each thing happens to a fact. `delay` is the longest common delay in seconds; a few wait a hundred times as long.
    `misdated`: the fact comes once more under an identity of its own, and without a time, or with one by which nobody can say that it is
    new."""

    repeated: float = 0.1
    repeated_late: float = 0.03
    delayed: float = 0.3
    delay: int = 3600
    damaged_then_told: float = 0.03
    damaged: float = 0.01
    reused: float = 0.02
    misdated: float = 0.0


REMEMBERED: Final = timedelta(days=30)
"""How long identities are kept; an older fact cannot be told from a repeat."""

AHEAD: Final = timedelta(days=1)
"""How far a clock may be ahead of the plant's."""

QUIET: Final = Rates(0, 0, 0, 0, 0, 0, 0)
"""Nothing happens on the way."""


_EXPENDABLE: Final = (OrderStarted, OperationCompleted, MaterialConsumed, TimeRecorded)
"""Facts that nothing else leans on: output that never becomes known would leave later transfers without stock."""


class Arrivals(msgspec.Struct, frozen=True):
    """Messages in the order in which they reach the log, and the facts among them that are readable: the history that ERP can learn."""

    messages: tuple[Message, ...]
    told: tuple[Told, ...]


def disturb(told: Sequence[Told], seed: int, rates: Rates) -> Arrivals:
    """Send the history through a bad network."""
    return _Network(seed, rates, _revised(told)).carry(told)


class _Network:
    def __init__(self, seed: int, rates: Rates, revised: set[FactId]) -> None:
        self._chance = Chance(seed, "network")
        self._rates = rates
        self._revised = revised
        self._messages: list[Message] = []

    def carry(self, told: Sequence[Told]) -> Arrivals:
        readable = tuple(one for one in told if self._send(one))
        order = sorted(range(len(self._messages)), key=lambda n: (self._messages[n].received, n))
        return Arrivals(tuple(self._messages[n] for n in order), readable)

    def _send(self, told: Told) -> bool:
        """Send one fact, with whatever happens to it; whether it arrives readable."""
        chance, rates = self._chance, self._rates
        received = self._arrival(told.at)
        if told.fact not in self._revised and isinstance(told.event, _EXPENDABLE) and chance.happens(rates.damaged):
            self._messages.append(told.message(received, damaged(told.body(), chance)))
            return False
        if chance.happens(rates.damaged_then_told):
            self._messages.append(told.message(received, damaged(told.body(), chance), f"{told.id}-damaged"))
        self._messages.append(told.message(received))
        if chance.happens(rates.repeated):
            self._messages.append(told.message(received + timedelta(seconds=chance.whole(0, 120))))
        if chance.happens(rates.repeated_late):
            self._messages.append(told.message(received + timedelta(hours=chance.whole(1, 72))))
        if chance.happens(rates.reused):
            self._reuse(told, received + timedelta(seconds=chance.whole(1, 7200)))
        if rates.misdated and not isinstance(told.event, InputEnded) and chance.happens(rates.misdated):
            self._messages.append(self._misdated(told, received))
        return True

    def _misdated(self, told: Told, received: datetime) -> Message:
        """The same fact as another one, of which nobody can tell whether it is a repeat."""
        message = told.message(received, id=f"{told.id}-misdated")
        if self._chance.happens(0.3):
            return msgspec.structs.replace(message, occurred=None)
        if self._chance.happens(0.5):
            return msgspec.structs.replace(message, occurred=received + AHEAD + timedelta(hours=self._chance.whole(1, 2000)))
        return msgspec.structs.replace(message, occurred=received - REMEMBERED - timedelta(hours=self._chance.whole(1, 2000)))

    def _arrival(self, at: datetime) -> datetime:
        if not self._chance.happens(self._rates.delayed):
            return at
        seconds = self._chance.whole(0, self._rates.delay)
        return at + timedelta(seconds=seconds * (100 if self._chance.happens(0.03) else 1))

    def _reuse(self, told: Told, received: datetime) -> None:
        """The identity comes back with other content: which of the two is meant, nobody can say but a person."""
        if isinstance(told.event, ProductionReported) and not told.event.reason:
            other = msgspec.structs.replace(told.event, reason="another report under an old number")
            self._messages.append(told.message(received, msgspec.json.encode(other)))


def damaged(body: bytes, chance: Chance) -> bytes:
    """The body as a bad line or a bad program leaves it: never a readable event."""
    match chance.whole(1, 6):
        case 1:
            return body[: chance.whole(0, len(body) - 1)]
        case 2:
            return b"\xff\xfe" + body
        case 3:
            return body[:-1] + b',"amount_of_what":"7"}'
        case 4:
            return msgspec.json.encode([msgspec.json.decode(body)])
        case 5:
            return b'{"type":"production.reported","order":"x","good":{"amount":"12"}}'
        case _:
            return b'{"type":"production.material.consumed","order":7,"item":"SCREW","quantity":{"amount":"many","unit":"EA"}}'


def _revised(told: Sequence[Told]) -> set[FactId]:
    """Facts that are corrected or cancelled, and the corrections themselves: losing half of such a pair would leave no one truth."""
    found: set[FactId] = set()
    for one in told:
        if isinstance(one.event, FactCorrected | FactCancelled):
            found |= {one.fact, FactId(one.plant, one.event.source, one.event.id)}
    return found

"""A difference and its parts: what of it is on its way, failed, late, booked by others or not to be booked, and what nothing explains.

The parts always sum to the difference. What may or may not have reached the other side counts as it explains most: nothing that is on its
way is ever called unexplained.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.model.quantity import EXACT, MAX_DECIMALS, ZERO
from synchromesh.model.rounding import rounded

LISTED: Final = 20
"""How many causes a part names; it says how many more there are."""

_SUMS: Final = 4_096
"""How many different sums of what is uncertain are looked at."""


class Part(enum.StrEnum):
    """Why two books differ."""

    IN_FLIGHT = "in flight"
    """Decided or gathered, and not in the other books yet."""
    FAILED = "failed"
    """Refused, in doubt, cancelled outside, or a fact that a person must look at."""
    LATE = "late"
    """Facts that wait for something, or that came after the moment that is compared; documents that were not heard of yet."""
    OUTSIDE = "booked outside"
    """Documents of others."""
    UNBOOKED = "not booked by decision"
    """Dismissed by a person, or recorded only while the plant's policy said so."""
    UNEXPLAINED = "unexplained"
    """What is left."""


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing behind a part: `what` it is (posting, fact, document, gather), by what it is found, and how it stands."""

    what: str
    reference: str
    amount: Decimal
    state: str = ""
    position: int = 0


class Share(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a difference: its causes, and how many more than those there are."""

    part: Part
    amount: Decimal
    causes: tuple[Cause, ...] = ()
    more: int = 0


class Perhaps(msgspec.Struct, frozen=True):
    """A cause that counts wholly or not at all: the other side may have had it or not when it was asked."""

    part: Part
    cause: Cause


class Pile(msgspec.Struct):
    """What certainly makes up one part: its sum, and its first causes."""

    amount: Fraction = Fraction(0)
    causes: list[Cause] = []
    count: int = 0

    def add(self, cause: Cause, exact: Fraction | None = None) -> None:
        """One cause more; `exact` where its amount has no end as a decimal."""
        self.amount += Fraction(cause.amount) if exact is None else exact
        self.count += 1
        if len(self.causes) < LISTED:
            self.causes.append(cause)


Piles = dict[Part, Pile]


def shown(amount: Fraction | Decimal) -> Decimal:
    """An amount as a decimal: exact, but for what has no end, which is cut once at the ninth place."""
    value = amount if isinstance(amount, Decimal) else rounded(amount, MAX_DECIMALS)
    return value.quantize(Decimal(1), context=EXACT) if value == value.to_integral_value() else value.normalize(EXACT)


def split(difference: Decimal, certain: Piles, perhaps: Sequence[Perhaps] = ()) -> tuple[Share, ...]:
    """The parts of a difference, unexplained last; parts of nothing are left out, but for the last."""
    amounts = {part: shown(pile.amount) for part, pile in certain.items()}
    base = EXACT.subtract(difference, _sum(amounts.values()))
    counted = [each for each, counts in zip(perhaps, _chosen(base, [each.cause.amount for each in perhaps]), strict=True) if counts]
    shares = []
    for part in Part:
        pile = certain.get(part, Pile())
        own = [each.cause for each in counted if each.part is part]
        amount = EXACT.add(amounts.get(part, ZERO), _sum(cause.amount for cause in own))
        causes = [*own, *pile.causes]
        if causes or amount:
            shares.append(Share(part, shown(amount), tuple(causes[:LISTED]), max(0, len(own) + pile.count - LISTED)))
    left = EXACT.subtract(difference, _sum(share.amount for share in shares))
    return (*shares, Share(Part.UNEXPLAINED, shown(left)))


def unexplained(shares: Sequence[Share]) -> Decimal:
    """What nothing explains."""
    return shares[-1].amount


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def _chosen(base: Decimal, amounts: Sequence[Decimal]) -> list[bool]:
    """Which of the uncertain amounts count, so that as little as possible of `base` is left; all of them where that leaves nothing."""
    if not amounts or base == _sum(amounts):
        return [True] * len(amounts)
    sums: dict[Decimal, int] = {ZERO: 0}
    for index, amount in enumerate(amounts):
        for total, chosen in list(sums.items()):
            sums.setdefault(EXACT.add(total, amount), chosen | 1 << index)
        if len(sums) > _SUMS:
            nearest = sorted(sums, key=lambda total: abs(EXACT.subtract(base, total)))
            sums = {total: sums[total] for total in nearest[: _SUMS // 2]}
    best = min(sums, key=lambda total: (abs(EXACT.subtract(base, total)), sums[total]))
    return [bool(sums[best] >> index & 1) for index in range(len(amounts))]


# --- tolerance ------------------------------------------------------------------------------------------------------------

_ROUNDED: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Tolerance(msgspec.Struct, frozen=True):
    """How far an unexplained difference may go: in the unit of what differs, or in percent of the larger of what is compared."""

    absolute: Decimal = ZERO
    percent: Decimal = ZERO

    def exceeded(self, difference: Decimal, *compared: Decimal) -> bool:
        """Whether a difference is too large by both."""
        largest = max((abs(each) for each in compared), default=ZERO)
        allowed = max(self.absolute, _ROUNDED.divide(_ROUNDED.multiply(largest, self.percent), Decimal(100)))
        return abs(difference) > allowed

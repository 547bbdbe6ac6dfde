"""The rounding law: rounding happens once, in the posting, and cumulatively.

A posting books the rounded cumulative total less what was booked before. So the sum of all postings is always the rounded total,
whatever the reports were and however they were cut into postings, and the rest is carried to the next one.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, Overflow
from fractions import Fraction
from typing import Final

from synchromesh.model.quantity import EXACT

_ROUNDING: Final = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
_STEPS: Final = tuple(Decimal(1).scaleb(-decimals) for decimals in range(10))


def rounded(total: Fraction | Decimal, decimals: int) -> Decimal:
    """The total with `decimals` (0 to 9) places, a half to the even neighbour. It carries exactly that many places."""
    if isinstance(total, Decimal):
        return total.quantize(_STEPS[decimals], None, _ROUNDING)
    return Decimal(round(total * 10**decimals)).scaleb(-decimals, context=EXACT)


def to_posting(cumulative_total: Fraction | Decimal, already: Decimal, decimals: int) -> Decimal:
    """What is still to be posted: the rounded cumulative total less what was posted `already`; negative when too much was."""
    return EXACT.subtract(rounded(cumulative_total, decimals), already)

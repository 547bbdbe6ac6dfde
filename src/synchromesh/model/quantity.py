"""Exact amounts that never travel without their unit.

An amount is a decimal with at most 15 digits before and 9 after the point. The bound is what makes arithmetic exact: sums
are taken in a context of 60 digits that refuses to round, so no sum of reports can lose a digit without an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, getcontext, setcontext
from typing import Final

import msgspec

MAX_INTEGER_DIGITS: Final = 15
MAX_DECIMALS: Final = 9
_LIMIT: Final = Decimal(10) ** MAX_INTEGER_DIGITS

EXACT: Final = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
"""The context of all quantity arithmetic: it raises where another would round."""

ZERO: Final = Decimal(0)


@contextmanager
def exactly() -> Iterator[None]:
    """Within the block this thread's plain operators on decimals compute in `EXACT`; they cost a quarter of the context's methods."""
    before = getcontext()
    setcontext(EXACT)
    try:
        yield
    finally:
        setcontext(before)


class QuantityError(ValueError):
    """An amount or unit that no plant can have meant."""


class Quantity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """An exact amount in a unit.

    `amount` is a finite decimal within the bounds of this module; `unit` is a UN/CEFACT Recommendation 20 code ("EA",
    "KGM") or an alternative unit of the item it counts (a site's "BOX"). Raises `QuantityError` on anything else.
    """

    amount: Decimal
    unit: str

    def __post_init__(self) -> None:
        # A short plain number is within every bound; only others pay for a look at their digits.
        text = str(self.amount)
        if len(text) > MAX_DECIMALS or not text.isdigit():
            check_amount(self.amount)
        if not self.unit or len(self.unit) > 16:
            raise QuantityError("a quantity needs a unit of 1 to 16 characters, for example 'EA' or 'KGM'")

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.unit}"


def check_amount(amount: Decimal) -> None:
    """Refuse what is not finite, too large or too fine; see the bounds of this module."""
    if not amount.is_finite():
        raise QuantityError(f"the amount {amount} is not a finite number")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
        raise QuantityError(f"the amount {amount} has more than {MAX_DECIMALS} decimals")
    if not -_LIMIT < amount < _LIMIT:
        raise QuantityError(f"the amount {amount} has more than {MAX_INTEGER_DIGITS} digits before the point")


def plain(amount: Decimal) -> str:
    """The amount without exponent and without trailing zeros: '12.5', '100', '0'."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text

"""A tally: exact sums by unit.

Adding needs no conversion, so what arrives before its item or its unit's conversion is known is still counted exactly, and the
order of arrival changes nothing. A tally is a plain dictionary, so that it can be a field of any stored struct; a unit whose sum is
zero is left out.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from synchromesh.model.quantity import EXACT, MAX_DECIMALS, ZERO
from synchromesh.model.unit import ItemUnits, convert

Tally = dict[str, Decimal]
"""Sum by unit code."""


def add(tally: Tally, amount: Decimal, unit: str) -> None:
    """Add an amount, negative to take back. Within `exactly()` it raises `decimal.Inexact` before a digit would be lost."""
    total = tally.get(unit, ZERO) + amount
    if total:
        tally[unit] = total
    else:
        tally.pop(unit, None)


def sum_of(tally: Tally | None, amount: Decimal, unit: str) -> Tally:
    """`add` to a tally that need not be there yet."""
    tally = {} if tally is None else tally
    add(tally, amount, unit)
    return tally


def finite(amount: Fraction | Decimal) -> Decimal:
    """The amount as a decimal of at most nine places, exactly. Raises `ArithmeticError` for a third."""
    if isinstance(amount, Decimal):
        return amount
    scaled = amount * 10**MAX_DECIMALS
    if scaled.denominator != 1:
        raise ArithmeticError(f"{amount} has no end as a decimal")
    value = Decimal(scaled.numerator).scaleb(-MAX_DECIMALS, context=EXACT)
    return value.quantize(Decimal(1)) if amount.denominator == 1 else value.normalize(EXACT)


def total(tally: Tally, unit: str, item: ItemUnits | None = None) -> Fraction:
    """All of the tally in one unit, exactly. Raises `model.unit.MissingConversion` when part of it can't be told in that unit."""
    return sum((convert(amount, own, unit, item) for own, amount in tally.items()), Fraction(0))

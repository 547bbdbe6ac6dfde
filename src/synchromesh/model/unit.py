"""Units and their exact conversion.

A unit is a UN/CEFACT Recommendation 20 code, or an alternative unit that an item defines (a site's BOX of 12). Conversions are
fractions: a third stays a third until a posting rounds it, once (see `model.rounding`). What can't be converted is refused
with the item and both units named; nothing is ever guessed from a unit's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Final, NamedTuple

from synchromesh.model.event import AlternativeUnit
from synchromesh.model.quantity import QuantityError
from synchromesh.model.unit_table import CODES

_ONE: Final = Fraction(1)


class Unit(NamedTuple):
    """A unit: one of it is `factor` of the base unit of its `dimension` (SI where there is one)."""

    code: str
    name: str
    dimension: str
    factor: Fraction


def _read(table: str) -> dict[str, Unit]:
    units = {}
    for line in table.strip().splitlines():
        code, name, dimension, factor = line.split("|")
        units[code] = Unit(code, name, dimension, Fraction(factor))
    return units


UNITS: Final[dict[str, Unit]] = _read(CODES)
"""The known Recommendation 20 units by code."""


class MissingConversion(QuantityError):
    """No exact factor leads from one unit to the other for this item. `item` is '' when no item was concerned."""

    def __init__(self, item: str, from_unit: str, to_unit: str) -> None:
        self.item = item
        self.from_unit = from_unit
        self.to_unit = to_unit
        of_item = f" of item {item!r}" if item else ""
        super().__init__(
            f"no conversion{of_item} from {from_unit!r} to {to_unit!r}: maintain an alternative unit for the item"
            f" in its system of record, or report in {to_unit!r}"
        )


def nearest_unit(code: str) -> str:
    """The known code most like `code`, or '' when none is: for error messages."""
    return next(iter(get_close_matches(code.upper(), UNITS, n=1, cutoff=0.6)), "")


class ItemUnits(NamedTuple):
    """How an item is counted: its base unit and what its alternative units hold of that base (`master.item.changed`)."""

    item: str
    base: str
    alternatives: Sequence[AlternativeUnit] = ()

    def factor(self, from_unit: str, to_unit: str) -> Fraction:
        """How many `to_unit` one `from_unit` of the item is. Raises `MissingConversion`."""
        if from_unit == to_unit:
            return _ONE
        own = {alternative.unit for alternative in self.alternatives}
        if from_unit not in own and to_unit not in own:
            direct = _same_dimension(from_unit, to_unit)
            if direct is not None:
                return direct
        source, target = self._in_base(from_unit), self._in_base(to_unit)
        if source is None or target is None:
            raise MissingConversion(self.item, from_unit, to_unit)
        return source / target

    def _in_base(self, unit: str) -> Fraction | None:
        """How many base units one `unit` is: as the item says, else by dimension, else by way of an alternative of its dimension."""
        for alternative in self.alternatives:
            if alternative.unit == unit:
                return Fraction(alternative.numerator, alternative.denominator)
        direct = _same_dimension(unit, self.base)
        if direct is not None:
            return direct
        for alternative in self.alternatives:
            step = _same_dimension(unit, alternative.unit)
            if step is not None:
                return step * Fraction(alternative.numerator, alternative.denominator)
        return None


def _same_dimension(from_unit: str, to_unit: str) -> Fraction | None:
    if from_unit == to_unit:
        return _ONE
    source, target = UNITS.get(from_unit), UNITS.get(to_unit)
    if source is None or target is None or source.dimension != target.dimension:
        return None
    return source.factor / target.factor


def convert(amount: Decimal | Fraction, from_unit: str, to_unit: str, item: ItemUnits | None = None) -> Fraction:
    """`amount` of `from_unit` in `to_unit`, exactly; with the item's alternative units when it is given. Raises `MissingConversion`."""
    if from_unit == to_unit:
        return Fraction(amount)
    units = item or ItemUnits("", to_unit)
    return Fraction(amount) * units.factor(from_unit, to_unit)

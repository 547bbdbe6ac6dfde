"""Places of one item side by side: the own balance, and what each system says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

import msgspec

from synchromesh.model.unit import ItemUnits
from synchromesh.plant.entities import Balance, SnapshotLine, SnapshotScope
from synchromesh.plant.snapshots import scope_name
from synchromesh.plant.stock import SEPARATOR

EMPTY = Balance()


def in_base(amount: Decimal, unit: str, units: ItemUnits) -> Decimal | Fraction:
    """An amount in the item's unit, exactly; a plain decimal where nothing needs converting. Raises `MissingConversion`."""
    return amount if unit == units.base else Fraction(amount) * units.factor(unit, units.base)


def plus(one: Decimal | Fraction, other: Decimal | Fraction) -> Decimal | Fraction:
    """The sum, exactly; a plain decimal as long as both are. To be called within `exactly()`."""
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one + other
    return Fraction(one) + Fraction(other)


class Side(msgspec.Struct):
    """What one system says of a place, in the item's unit, and as of when (microseconds; 0 for now)."""

    amount: Decimal | Fraction
    as_of: int = 0


class Spot(msgspec.Struct):
    """A place to compare: the keys of the balances that it is made of, and their sums in the item's unit."""

    key: str
    keys: list[str] = []
    reported: Decimal | Fraction = Decimal(0)
    booked: Decimal | Fraction = Decimal(0)
    sides: dict[str, Side] = {}
    balances: list[Balance] = []

    def add_own(self, key: str, balance: Balance, units: ItemUnits) -> None:
        """One balance more. Raises `MissingConversion`."""
        self.keys.append(key)
        self.balances.append(balance)
        unit = balance.unit or units.base
        for own, amount in balance.reported.items():
            self.reported = plus(self.reported, in_base(amount, own, units))
        self.reported = plus(self.reported, in_base(balance.opening, unit, units))
        self.booked = plus(self.booked, in_base(balance.booked, unit, units))

    def add_side(self, system: str, amount: Decimal, unit: str, units: ItemUnits, as_of: int = 0) -> None:
        """What a system says, once more where several of its places are one here. Raises `MissingConversion`."""
        side = self.sides.get(system)
        if side is None:
            self.sides[system] = Side(in_base(amount, unit, units), as_of)
        else:
            side.amount, side.as_of = plus(side.amount, in_base(amount, unit, units)), min(side.as_of, as_of)


class Spots:
    """The places of one item. Where the plant does not say from where or to where something went, all locations are one place."""

    def __init__(self, units: ItemUnits, own: Mapping[str, Balance]) -> None:
        self.units = units
        self._vague = {without_location(key) for key, balance in own.items() if not _location(key) and balance.reported}
        self.all: dict[str, Spot] = {}
        for key, balance in own.items():
            self.at(key).add_own(key, balance, units)

    def at(self, key: str) -> Spot:
        """The place that this key belongs to."""
        vague = without_location(key)
        name = vague if vague in self._vague else key
        spot = self.all.get(name)
        if spot is None:
            spot = self.all[name] = Spot(name)
        return spot


def _location(key: str) -> str:
    return key.split(SEPARATOR)[1]


def without_location(key: str) -> str:
    """The same place, wherever in the plant."""
    item, _, *rest = key.split(SEPARATOR)
    return SEPARATOR.join((item, "", *rest))


class Scopes:
    """Of what each system spoke as a whole, and when."""

    def __init__(self, named: Iterable[tuple[str, SnapshotScope]]) -> None:
        self._at = {name: scope.as_of for name, scope in named}
        self.systems = sorted({name.split(SEPARATOR)[0] for name in self._at})

    def covers(self, system: str, item: str, location: str) -> int:
        """When the system last spoke of all stock of this item there; 0 for never."""
        names = (scope_name(system, location, ""), scope_name(system, "", item), scope_name(system, location, item))
        return max(self._at.get(name, 0) for name in names)

    def oldest(self) -> int:
        return min(self._at.values(), default=0)


def snapshot_of(spots: Spots, item: str, lines: Mapping[tuple[str, str], SnapshotLine], scopes: Scopes, own: Collection[str]) -> None:
    """Put side by side what snapshots say: their lines, as far as no newer word speaks of the whole, and the empty places of that."""
    for (key, system), line in lines.items():
        if line.as_of >= scopes.covers(system, item, _location(key)):
            spots.at(key).add_side(system, line.amount, line.unit, spots.units, line.as_of)
    for system in scopes.systems:
        for key in own:
            spoken = scopes.covers(system, item, _location(key))
            said = lines.get((key, system))
            if spoken and (said is None or said.as_of < spoken):
                spots.at(key).add_side(system, Decimal(0), spots.units.base, spots.units, spoken)
        for (key, of), line in lines.items():
            spoken = scopes.covers(of, item, _location(key))
            if of == system and line.as_of < spoken and key not in own:
                spots.at(key).add_side(system, Decimal(0), spots.units.base, spots.units, spoken)

"""What the simulated plants make and use: items with awkward units, and where they keep them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.model.event import AlternativeUnit, ItemChanged, LocationChanged, StockLine, amount
from synchromesh.model.quantity import Quantity
from synchromesh.sim.chance import Chance
from synchromesh.sim.truth import factor

PRODUCTS: Final = (
    ItemChanged("PUMP", "EA", "pump, complete", 0, (AlternativeUnit("BOX", 12),), lot_controlled=True),
    ItemChanged("VALVE", "EA", "valve body", 0, (AlternativeUnit("TRAY", 5),)),
    ItemChanged("PAINT", "LTR", "paint, mixed", 2, (AlternativeUnit("CAN", 1, 3),), lot_controlled=True),
)
"""What orders make. A can is a third of a litre: its decimal expansion never ends."""

COMPONENTS: Final = (
    ItemChanged("STEEL", "KGM", "steel bar", 3),
    ItemChanged("RESIN", "KGM", "resin", 2, (AlternativeUnit("SACK", 25), AlternativeUnit("SCOOP", 1, 3)), lot_controlled=True),
    ItemChanged("CABLE", "MTR", "cable", 1, (AlternativeUnit("REEL", 100, 3),)),
    ItemChanged("SCREW", "EA", "screw", 0, (AlternativeUnit("CARTON", 200),), lot_controlled=True),
)
"""What workers report as consumed."""

BACKFLUSHED: Final = (
    ItemChanged("LABEL", "EA", "label", 0),
    ItemChanged("VARNISH", "LTR", "varnish", 1),
)
"""What ERP takes out in proportion to the output."""

STRANGE: Final = ItemChanged("GLUE", "KGM", "glue that nobody created in ERP", 1)

UNPLANNED: Final = ItemChanged("TAPE", "MTR", "tape, used when needed", 1, (AlternativeUnit("ROLL", 50, 3),))
"""What no order plans and workers use all the same; ERP may come to know it late."""


class Catalogue(msgspec.Struct, frozen=True):
    """What plants make (`products`), report as consumed (`components`) or leave to ERP (`backflushed`), use though no order plans it
    (`unplanned`), and what ERP will never know (`strange`)."""

    products: tuple[ItemChanged, ...]
    components: tuple[ItemChanged, ...]
    backflushed: tuple[ItemChanged, ...]
    unplanned: ItemChanged
    strange: ItemChanged

    @property
    def items(self) -> dict[str, ItemChanged]:
        """All of them by name."""
        return {item.item: item for item in (*self.products, *self.components, *self.backflushed, self.unplanned, self.strange)}


AWKWARD: Final = Catalogue(PRODUCTS, COMPONENTS, BACKFLUSHED, UNPLANNED, STRANGE)
"""Units that don't divide, lots everywhere, and a plan that ERP books from: what no simulated night is spared."""

PLAIN: Final = Catalogue(
    (ItemChanged("PUMP", "EA", "pump, complete", 0), ItemChanged("GREASE", "KGM", "grease, mixed", 2)),
    (
        ItemChanged("STEEL", "KGM", "steel bar", 2),
        ItemChanged("RESIN", "KGM", "resin", 2, lot_controlled=True),
        ItemChanged("SCREW", "EA", "screw", 0),
    ),
    (),
    ItemChanged("TAPE", "EA", "tape, used when needed", 0),
    STRANGE,
)
"""What an ERP that knows pieces and kilograms can keep as it is: no units of an item's own, nothing backflushed."""

ITEMS: Final = AWKWARD.items

_SMALLER: Final = {"KGM": "GRM", "LTR": "MLT", "MTR": "CMT"}


class Site(msgspec.Struct, frozen=True):
    """A plant's places and the component lots on stock there."""

    raw: str
    line: str
    finished: str
    shipping: str

    @property
    def locations(self) -> tuple[LocationChanged, ...]:
        return tuple(LocationChanged(name) for name in (self.raw, self.line, self.finished, self.shipping))


def site(plant: str) -> Site:
    """The places of a plant, named after it so that no two plants share one."""
    short = plant.upper()
    return Site(f"{short}-RAW", f"{short}-LINE", f"{short}-FG", f"{short}-SHIP")


def lots(plant: str, item: ItemChanged) -> tuple[str, ...]:
    """The lots of a component that a plant has on stock; one nameless lot when the item has none."""
    return tuple(f"{plant}-{item.item}-{n}" for n in (1, 2)) if item.lot_controlled else ("",)


def opening(plant: str, catalogue: Catalogue = AWKWARD, ample: str = "1000000") -> tuple[StockLine, ...]:
    """Components enough for everything that will be reported."""
    places = site(plant)
    return tuple(
        StockLine(item.item, location, amount(ample, item.unit), lot)
        for item in (*catalogue.components, *catalogue.backflushed, catalogue.unplanned)
        for lot in lots(plant, item)
        for location in (places.raw, places.line)
    )


def told_as(chance: Chance, item: ItemChanged, base: Fraction) -> Quantity:
    """About `base` units of the item in one of the units that workers use: whole numbers of things, two digits more than ERP books
    of what is weighed or measured. Never nothing."""
    units = [item.unit, *(alternative.unit for alternative in item.alternatives)]
    if item.unit in _SMALLER:
        units.append(_SMALLER[item.unit])
    unit = chance.one(units)
    decimals = 0 if unit not in (item.unit, *_SMALLER) or item.decimals == 0 else item.decimals + 2
    count = max(1, int(base / factor(item, unit) * 10**decimals)) + (chance.whole(0, 10**decimals - 1) if decimals else 0)
    return Quantity(Decimal(count).scaleb(-decimals), unit)

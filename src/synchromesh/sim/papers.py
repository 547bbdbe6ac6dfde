"""The adapter that reads what a simulated WMS writes in its own words: as it was written at first, with two mistakes, and mended."""

from __future__ import annotations

import functools
import tomllib
from typing import Final

from synchromesh.mapping.adapter import Adapter
from synchromesh.mapping.manifest import Parts, to_manifest
from synchromesh.mapping.zone import zone_data
from synchromesh.sim.slips import INTERFACE, KILO

_MANIFEST: Final = """
name = "wms"
version = "1"
owner = "the simulation"
source = "wms"
format = "json"
identity = 'text(row.id)'
horizon = "30d"
zone = "UTC"
occurred = 'time(row.at)'
{units}
[rules.use]
event = "production.material.consumed"
[rules.use.fields]
order = 'text(row.order)'
item = 'text(row.item)'
quantity = 'quantity(row.{amount}, row.unit)'
operation = 'text(row.step)'
lot = 'text(row.lot)'
location = 'text(row.place)'
into_lot = 'text(row.into)'
"""


@functools.cache
def content(mended: bool) -> str:
    """What is activated: at first the planned amount is read, and a kilo is unknown."""
    units = f'[units]\n{KILO} = "KGM"\n' if mended else ""
    where = f"adapter {INTERFACE} of the simulation"
    table = tomllib.loads(_MANIFEST.format(units=units, amount="amount" if mended else "planned"))
    return Adapter(Parts(to_manifest(table, where), {}), zone_data("UTC"), where).content()

"""Tryton's storage locations by the names that plants use for them.

A location's name is its code, or its plain name when it has none; "WH2:STO" when several locations have the code STO. A location
"STO/held" below STO is no place of its own: it is where STO keeps goods of the status "held".
"""

from __future__ import annotations

from collections import Counter

import msgspec

from synchromesh.connectors.tryton.rpc import Tryton, read_as
from synchromesh.connectors.tryton.wire import HELD_BACK


class _Row(msgspec.Struct):
    id: int
    name: str
    type: str
    code: str | None = None
    parent: int | None = None
    storage_location: int | None = None
    production_output_location: int | None = None
    last_modified_at: str = ""


class Place(msgspec.Struct, frozen=True):
    """A storage location: what it is called, the status of what lies there, and the code of its warehouse ('' outside of any)."""

    id: int
    name: str
    status: str
    warehouse: str
    description: str
    modified: str


class Places:
    """All storage locations, read once."""

    def __init__(self, rows: list[_Row]) -> None:
        self._rows = {row.id: row for row in rows}
        storage = [row for row in rows if row.type == "storage"]
        codes = Counter(row.code for row in storage if self._status_of(row) == "")
        self.all = {row.id: self._place(row, codes) for row in storage}
        self.output = {
            row.id: self.all.get(row.production_output_location or row.storage_location or 0) for row in rows if row.type == "warehouse"
        }
        """Where a warehouse receives output, by the warehouse's id."""

    def code(self, location: int) -> str:
        """The code of any location, a warehouse's too; '' if it has none."""
        row = self._rows.get(location)
        return (row.code or "") if row else ""

    def kind(self, location: int) -> str:
        """Tryton's type of a location."""
        row = self._rows.get(location)
        return row.type if row else ""

    def _status_of(self, row: _Row) -> str:
        parent = self._rows.get(row.parent or 0)
        if parent is None or parent.type != "storage" or not row.code:
            return ""
        before, mark, status = row.code.rpartition(HELD_BACK)
        return status if mark and before == (parent.code or "") else ""

    def _warehouse(self, row: _Row) -> str:
        above: _Row | None = row
        while above is not None and above.type != "warehouse":
            above = self._rows.get(above.parent or 0)
        return (above.code or "") if above else ""

    def _place(self, row: _Row, codes: Counter[str | None]) -> Place:
        status = self._status_of(row)
        named = self._rows[row.parent or 0] if status else row
        warehouse = self._warehouse(row)
        name = named.code or named.name
        if named.code and codes[named.code] > 1 and warehouse:
            name = f"{warehouse}:{name}"
        return Place(row.id, name, status, warehouse, row.name, row.last_modified_at)


async def read_places(tryton: Tryton) -> Places:
    """Read the locations. Raises `ConnectorError`."""
    fields = [*_Row.__struct_fields__]
    rows = await tryton.call("model.stock.location.search_read", [], 0, None, [["id", "ASC"]], fields)
    return Places(read_as(rows, list[_Row], "the locations"))

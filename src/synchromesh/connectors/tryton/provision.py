"""Makes items, places, stock and orders in a Tryton, for examples, demos and tests. Everything is idempotent by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec

from synchromesh.connectors.tryton import units
from synchromesh.connectors.tryton.rpc import Json, Tryton, read_as, typed_date
from synchromesh.connectors.tryton.settings import read_settings
from synchromesh.model.quantity import Quantity


@dataclass(frozen=True)
class Part:
    """A component of an order: `quantity` for the whole order, from a storage location's code ('' for the warehouse's own)."""

    item: str
    quantity: Quantity
    location: str = ""


class _Warehouse(msgspec.Struct):
    id: int
    storage_location: int
    production_location: int


class _Product(msgspec.Struct):
    id: int
    default_uom: int


class Provisioner:
    """Creates things through JSON-RPC with the connector's own settings. Raises `ConnectorError`."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._tryton = Tryton(read_settings(settings))

    async def close(self) -> None:
        """Let go of connections."""
        await self._tryton.close()

    async def _find(self, model: str, *domain: Json) -> list[int]:
        return read_as(await self._tryton.call(f"model.{model}.search", [*domain], 0, None, None), list[int], model)

    async def _create(self, model: str, values: dict[str, Json]) -> int:
        return read_as(await self._tryton.call(f"model.{model}.create", [values]), list[int], model)[0]

    async def create_item(self, code: str, description: str, unit: str = "EA", lots: bool = False) -> int:
        """An item that may be produced and moved; with `lots` every move of it needs a lot. The product's id."""
        found = await self._find("product.product", ["code", "=", code])
        if found:
            return found[0]
        unit_id = (await self._find("product.uom", ["symbol", "=", units.symbol(unit)]))[0]
        values: dict[str, Json] = {
            "name": description or code,
            "code": code,
            "type": "goods",
            "default_uom": unit_id,
            "producible": True,
            "lot_required": ["storage", "lost_found", "production", "supplier", "customer"] if lots else [],
            "products": [["create", [{}]]],
        }
        await self._create("product.template", values)
        return (await self._find("product.product", ["code", "=", code]))[0]

    async def create_location(self, code: str, name: str = "", warehouse: str = "WH") -> int:
        """A storage location directly in a warehouse."""
        home = (await self._find("stock.location", ["code", "=", warehouse], ["type", "=", "warehouse"]))[0]
        found = await self._find("stock.location", ["code", "=", code], ["parent", "child_of", [home], "parent"])
        if found:
            return found[0]
        return await self._create("stock.location", {"code": code, "name": name or code, "type": "storage", "parent": home})

    async def create_warehouse(self, code: str, name: str = "") -> int:
        """A warehouse, as of a second plant, with locations CODE-IN, CODE-STO, CODE-OUT and CODE-PROD."""
        found = await self._find("stock.location", ["code", "=", code], ["type", "=", "warehouse"])
        if found:
            return found[0]
        parts = {}
        for part, kind in (("IN", "storage"), ("STO", "storage"), ("OUT", "storage"), ("PROD", "production")):
            parts[part] = await self._create("stock.location", {"code": f"{code}-{part}", "name": f"{name or code} {part}", "type": kind})
        lost = (await self._find("stock.location", ["type", "=", "lost_found"]))[0]
        return await self._create(
            "stock.location",
            {
                "code": code,
                "name": name or code,
                "type": "warehouse",
                "input_location": parts["IN"],
                "storage_location": parts["STO"],
                "output_location": parts["OUT"],
                "production_location": parts["PROD"],
                "lost_found_location": lost,
            },
        )

    async def receive_output_at(self, warehouse: str, location: str) -> None:
        """Let output of a warehouse's orders arrive at this location of it, instead of at its storage."""
        house = await self._warehouse(warehouse)
        place = (await self._find("stock.location", ["code", "=", location], ["parent", "child_of", [house.id], "parent"]))[0]
        await self._tryton.call("model.stock.location.write", [house.id], {"production_output_location": place})

    async def create_order(
        self,
        reference: str,
        item: str,
        quantity: Quantity,
        components: Sequence[Part] = (),
        warehouse: str = "WH",
        release: bool = True,
    ) -> int:
        """A production with its planned components, released unless said otherwise. The production's id."""
        found = await self._find("production", ["reference", "=", reference])
        production = found[0] if found else await self._new_order(reference, item, quantity, components, warehouse)
        state = read_as(await self._tryton.call("model.production.read", [production], ["state"]), list[dict[str, Json]], "the order")[0]
        if release and state["state"] == "draft":
            await self._tryton.call("model.production.wait", [production])
        return production

    async def _new_order(self, reference: str, item: str, quantity: Quantity, components: Sequence[Part], warehouse: str) -> int:
        house = await self._warehouse(warehouse)
        company = await self._tryton.company()
        today = typed_date(date.today().isoformat())  # noqa: DTZ011 - a plan's day only
        inputs = []
        for part in components:
            source = (await self._find("stock.location", ["code", "=", part.location]))[0] if part.location else house.storage_location
            inputs.append(await self._move(part.item, part.quantity, source, house.production_location, company))
        product = await self._product(item)
        unit = (await self._find("product.uom", ["symbol", "=", units.symbol(quantity.unit)]))[0]
        values: dict[str, Json] = {
            "reference": reference,
            "type": "assembly",
            "company": company,
            "warehouse": house.id,
            "location": house.production_location,
            "product": product.id,
            "unit": unit,
            "quantity": float(quantity.amount),
            "planned_date": today,
            "planned_start_date": today,
            "inputs": [["create", inputs]] if inputs else [],
        }
        return await self._create("production", values)

    async def _move(self, item: str, quantity: Quantity, source: int, target: int, company: int) -> dict[str, Json]:
        unit = (await self._find("product.uom", ["symbol", "=", units.symbol(quantity.unit)]))[0]
        product = await self._product(item)
        return {
            "product": product.id,
            "unit": unit,
            "quantity": float(quantity.amount),
            "from_location": source,
            "to_location": target,
            "company": company,
        }

    async def _product(self, code: str) -> _Product:
        rows = await self._tryton.call("model.product.product.search_read", [["code", "=", code]], 0, None, None, ["default_uom"])
        return read_as(rows, list[_Product], f"the item {code}")[0]

    async def _warehouse(self, code: str) -> _Warehouse:
        domain = [["code", "=", code], ["type", "=", "warehouse"]]
        fields = ["storage_location", "production_location"]
        rows = await self._tryton.call("model.stock.location.search_read", domain, 0, None, None, fields)
        return read_as(rows, list[_Warehouse], f"the warehouse {code}")[0]

    async def set_stock(self, item: str, quantity: Quantity, location: str = "STO", lot: str = "") -> None:
        """Let a location hold exactly this much of an item, by a confirmed inventory."""
        company = await self._tryton.company()
        place = (await self._find("stock.location", ["code", "=", location]))[0]
        product = await self._product(item)
        line: dict[str, Json] = {"product": product.id, "quantity": float(quantity.amount)}
        if lot:
            found = await self._find("stock.lot", ["number", "=", lot], ["product", "=", product.id])
            line["lot"] = found[0] if found else await self._create("stock.lot", {"number": lot, "product": product.id})
        today = typed_date(date.today().isoformat())  # noqa: DTZ011 - Tryton's own day
        values: dict[str, Json] = {
            "location": place, "company": company, "date": today, "empty_quantity": "keep", "lines": [["create", [line]]],
        }  # fmt: skip
        inventory = await self._create("stock.inventory", values)
        await self._tryton.call("model.stock.inventory.confirm", [inventory])

    async def close_period(self, through: date) -> None:
        """Close the stock books through a day before today."""
        company = await self._tryton.company()
        period = await self._create("stock.period", {"date": typed_date(through.isoformat()), "company": company})
        await self._tryton.call("model.stock.period.close", [period])

"""Which orders ERP's ledger and the stocked quantities differ in, told without any part of Synchromesh: a few lines over the files."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path


def rows(folder: Path, beginning: str) -> tuple[Path, list[dict[str, str]]]:
    """The one file of the folder whose name begins so, and its rows. Raises `SystemExit` with what to do."""
    found = sorted(folder.glob(f"{beginning}*.csv"))
    if len(found) != 1:
        raise SystemExit(f"{folder} must hold one file {beginning}*.csv with a header, and holds {len(found)}")
    with found[0].open(encoding="utf-8-sig", newline="") as file:
        return found[0], list(csv.DictReader(file))


def differing(orders: list[dict[str, str]], ledger: list[dict[str, str]]) -> dict[str, tuple[int, int]]:
    """By order, what was stocked and what ERP booked, where the two are not the same."""
    booked: dict[str, int] = defaultdict(int)
    for row in ledger:
        booked[row["ReferenceOrderID"]] += int(row["Quantity"])
    stocked = {row["WorkOrderID"]: int(row["StockedQty"]) for row in orders}
    names = stocked.keys() | booked.keys()
    return {name: (stocked.get(name, 0), booked[name]) for name in names if stocked.get(name, 0) != booked[name]}


def scrapped(orders: list[dict[str, str]]) -> dict[str, int]:
    """By order, what was lost, where anything was: ERP's ledger says nothing of it."""
    return {row["WorkOrderID"]: int(row["ScrappedQty"]) for row in orders if int(row["ScrappedQty"])}

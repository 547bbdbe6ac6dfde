"""The real reports: mapped, they give the totals that were computed without this program."""

import csv
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.mapping.world import ROOT

from synchromesh.mapping.adapter import load_adapter
from synchromesh.model.event import ProductionReported
from synchromesh.model.message import Message

DATA = ROOT.parent / "shared" / "data" / "4tu"
RESTORED = ("row", "start_local", "complete_local", "ts_source")

pytestmark = pytest.mark.skipif(
    not (DATA / "production_dev.csv").exists(), reason="the real reports are not beside the project (../shared/data/4tu)"
)


def read(name: str) -> list[dict[str, str]]:
    with (Path(DATA) / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=["all columns", "published columns"])
def mapped(request):
    """Every row with what it became."""
    adapter = load_adapter(ROOT / "examples" / "4tu" / "adapter")
    found = []
    left_out = RESTORED if request.param == "published columns" else ()
    for number, cells in enumerate(read("production_dev.csv"), 1):
        row = {key: value for key, value in cells.items() if key not in left_out} | {"_line": number}
        message = Message("factory", adapter.source, "", adapter.interface, datetime(2026, 1, 1, tzinfo=UTC), json.dumps(row).encode())
        found.append((row, adapter.identity(row), adapter.map(message)))
    return found


def test_each_row_has_one_fate(mapped):
    kinds = Counter("recorded" if became.recorded else "reported" for _, _, became in mapped)
    assert kinds == {"reported": 1568, "recorded": 16}
    assert all(len(became.events) == 1 for _, _, became in mapped if not became.recorded)


def test_identities_are_those_of_the_rows(mapped):
    identities = [identity for _, identity, _ in mapped]
    assert len(set(identities)) == 1584
    assert all(identity == row.get("row", str(row["_line"])) for row, identity, _ in mapped)


def test_the_totals_agree_exactly(mapped):
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for row, _, became in mapped:
        total = totals[row["Case ID"]]
        total["rows"] += 1
        for event in became.events:
            assert isinstance(event, ProductionReported)
            assert {quantity.unit for quantity in (event.good, event.scrap, event.held, event.rework) if quantity} == {"EA"}
            total["completed"] += event.good.amount
            total["rejected"] += event.scrap.amount
            total["mrb"] += event.held.amount
            total["packed"] += event.good.amount if event.operation == "Packing" else 0
            total["rework_rows"] += event.rework is not None
    expected = read("totals_per_order_dev.csv")
    assert len(expected) == len(totals) == 75
    for order in expected:
        found = totals[order["case"]]
        names = ("rows", "completed", "rejected", "mrb", "packed", "rework_rows")
        assert {name: found[name] for name in names} == {name: Decimal(order[name]) for name in names}, order["case"]


def test_times_are_told_where_the_row_has_one(mapped):
    for row, _, became in mapped:
        assert (became.occurred is not None) == bool(row.get("complete_local"))

"""The example's rules are written twice: in its adapter, and in `reports.py`, which judges a run. Both must say the same of every row."""

import importlib.util
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.mapping.world import ROOT

from synchromesh.mapping.adapter import load_adapter
from synchromesh.mapping.refusal import MappingRefused
from synchromesh.model.message import Message

FOLDER = ROOT / "examples" / "4tu"
ROW = {
    "row": "1",
    "complete_local": "2012-02-06T11:00:00",
    "Case ID": "Case 901",
    "Activity": "Packing",
    "Resource": "Packing",
    "Complete Timestamp": "00:00.0",
    "Span": "000:10",
    "Work Order Qty": "40",
    "Part Desc.": "Sample Part",
    "Report Type": "D",
    "Qty Completed": "7",
    "Qty Rejected": "2",
    "Qty for MRB": "1",
    "Rework": "",
}
TIMES = (
    "2012/02/06 11:00:00.000", "2012/02/06 11:00:00", "2012/02/06 11:00", "2012-02-06T11:00:00+02:00", "2012-02-06 11:00:00", "",
    "43:00.0", "9:00.0", "00:43:00", "1899/12/31 00:45:00", "1900/01/00 03:00", "6.2.2012 11:00", "x", "2012/02/30 11:00:00.000",
    "2012-02-06",
)  # fmt: skip
AMOUNTS = ("0", " 5 ", "5.0", "+5", "-0", "", " ", "-3", "nan", "inf", "1,5", "1 000", "0x10", "\uff11\uff12", "1" * 16, "1e400", "n/a")
CHANGES = [
    {},
    *({"complete_local": "", "Complete Timestamp": time} for time in TIMES),
    *({name: amount} for amount in AMOUNTS for name in ("Qty Completed", "Qty Rejected", "Qty for MRB")),
    *({"Report Type": kind} for kind in ("S", " D ", "B", "d", "", "X")),
    *({"Report Type": "B", "Qty Completed": amount, "Qty Rejected": "", "Qty for MRB": "0"} for amount in ("", "0", "4", "n/a")),
    *({"Case ID": name} for name in ("", "  ", " Case 901 ")),
    *({"Activity": name} for name in ("", "  ", " Packing ", "Round   Grinding  -  Q.C.")),
    {"Rework": "Y"},
    {"Resource": "Machine 98 - Turning", "Span": "1899/12/31 00:45:00", "Work Order Qty": "", "Part Desc.": 'Two\n"lines"'},
]


@pytest.fixture(scope="module")
def reports():
    spec = importlib.util.spec_from_file_location("reports", FOLDER / "reports.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def adapter():
    return load_adapter(FOLDER / "adapter")


def mapped(adapter, row):
    """What the adapter makes of a row; None where it refuses."""
    told = {**row, "_line": 1}
    assert adapter.identity(told)
    message = Message("factory", adapter.source, "1", adapter.interface, datetime(2026, 1, 1, tzinfo=UTC), json.dumps(told).encode())
    try:
        return adapter.map(message)
    except MappingRefused:
        return None


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_adapter_and_judge_say_the_same_of_a_row(reports, adapter, change):
    row = ROW | change
    became = mapped(adapter, row)
    assert (became is None) == reports.refused(row)
    told = {"yield": Decimal(0), "scrap": Decimal(0), "mrb": Decimal(0)}
    for event in became.events if became else ():
        told["yield"] += event.good.amount if event.operation == "Packing" else 0
        told["scrap"] += event.scrap.amount
        told["mrb"] += event.held.amount
    assert reports.expected_books([row]).get("Case 901", dict.fromkeys(told, Decimal(0))) == told


def test_any_dialect_is_found_and_broken_rows_are_counted(reports, tmp_path):
    head = '"Case ID";"Activity";"Report Type";"Work Order Qty";"Part Desc.";"Qty Completed";"Qty Rejected";"Qty for MRB"\r\n'
    row = '"Case 901";"Packing";"D";"40";"Part ""A""\r\nin two lines";"7";"2";"1"\r\n'
    (tmp_path / "reports.csv").write_bytes(("\ufeff" + head + row + "\r\n" + "one;value too;few\r\n" + row).encode())
    (tmp_path / "totals.csv").write_text("case,completed\nCase 901,7\n")
    (found,) = reports.find_reports(tmp_path)
    assert (found.delimiter, found.count, found.broken, found.exceptions) == (";", 3, 1, 1)
    assert [each["_line"] for each in found.rows] == ["1", "3"]
    assert reports.expected_books(found.rows) == {"Case 901": {"yield": 14, "scrap": 4, "mrb": 2}}
    assert reports.orders(found.rows) == {"Case 901": ('PART-"A"-IN-TWO-LINES', Decimal(40))}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no CSV file"),
        (b"a,b\n1,2\n", "holds no CSV file"),
        (b"Case ID,x\xff\n", "is not UTF-8"),
        (b"Case ID,Activity\n", "lacks"),
    ],
)
def test_what_holds_no_reports_is_refused_with_what_to_do(reports, tmp_path, content, said):
    if content is not None:
        (tmp_path / "reports.csv").write_bytes(content)
    with pytest.raises(reports.Unreadable, match=said):
        reports.find_reports(tmp_path)

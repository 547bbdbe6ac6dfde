"""The reports, read without any part of Synchromesh: which rows there are, which of them nobody can book, and what the books must hold.

The rules are those of README.md, written a second time and in another way, so that a run can be judged by them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

Row = dict[str, str]
Books = dict[str, dict[str, Decimal]]
"""By order: yield, scrap and mrb on ERP's books."""

QUANTITIES = ("Qty Completed", "Qty Rejected", "Qty for MRB")


class Unreadable(Exception):
    """A file or folder that holds no reports; the text says what to do."""


class Reports(NamedTuple):
    """One file of reports. `rows` are those with a value for every column, each with its number in the file as `_line`; `broken` counts
    the others."""

    path: Path
    delimiter: str
    rows: list[Row]
    broken: int

    @property
    def count(self) -> int:
        """How many facts the file tells."""
        return len(self.rows) + self.broken

    @property
    def exceptions(self) -> int:
        """How many of them must end as exceptions."""
        return self.broken + sum(1 for row in self.rows if refused(row))


def find_reports(data: Path) -> list[Reports]:
    """The reports of a file, or of every file of a folder whose first line names the published columns. Raises `Unreadable`."""
    if not data.exists():
        raise Unreadable(f"{data} is not there; README.md says where the data set is published")
    files = sorted(data.glob("*.csv")) if data.is_dir() else [data]
    found = [reports for reports in map(_read, files) if reports is not None]
    if not found:
        raise Unreadable(f"{data} holds no CSV file with a column 'Case ID'; README.md says where the data set is published")
    return found


def _read(path: Path) -> Reports | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not UTF-8 (byte {error.start}); save it as CSV in UTF-8") from None
    header = text.partition("\n")[0]
    delimiter = next((each for each in ",;\t" if "Case ID" in (name.strip('"') for name in header.strip().split(each))), "")
    if not delimiter:
        return None
    names, *lines = (cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if cells)
    lacking = {"Part Desc.", "Work Order Qty", "Activity", *QUANTITIES} - {*names}
    if lacking:
        raise Unreadable(f"{path} lacks the published columns {', '.join(sorted(lacking))}")
    rows = [
        {**dict(zip(names, cells, strict=True)), "_line": str(number)} for number, cells in enumerate(lines, 1) if len(cells) == len(names)
    ]
    return Reports(path, delimiter, rows, len(lines) - len(rows))


def number(text: str) -> Decimal | None:
    """A quantity of pieces, None for what is none."""
    return Decimal(text.strip()) if re.fullmatch(r"\+?[0-9]{1,15}(\.[0-9]{1,12})?|-0+", text.strip(), re.ASCII) else None


def refused(row: Row) -> bool:
    """Whether a person must look at the row: nothing of it may be in the books."""
    kind = row["Report Type"].strip()
    amounts = [number(row[name]) for name in QUANTITIES]
    if kind == "B":
        amounts = [amount if row[name].strip() else Decimal(0) for name, amount in zip(QUANTITIES, amounts, strict=True)]
        return not _has_time_or_none(row) or any(amount is None or amount for amount in amounts)
    names = ("Case ID", "Activity")
    return kind not in ("S", "D") or None in amounts or not all(row[name].strip() for name in names) or not _has_time_or_none(row)


def _has_time_or_none(row: Row) -> bool:
    """Whether what stands where the time should be is a time with its day, or one of the ways to say that there is none."""
    told = row.get("complete_local", "").strip() or row.get("Complete Timestamp", "").strip()
    if not told or told[:4] in ("1899", "1900") or re.fullmatch(r"[0-9]+:[0-9:.]*", told):
        return True
    try:
        datetime.fromisoformat(told.replace("/", "-", 2))
    except ValueError:
        return False
    return len(told) > len("2012-01-30")


def expected_books(rows: list[Row]) -> Books:
    """Straight from the rows: yield is what was packed, scrap what was rejected anywhere."""
    books: Books = defaultdict(lambda: {"yield": Decimal(0), "scrap": Decimal(0), "mrb": Decimal(0)})
    for row in rows:
        if refused(row) or row["Report Type"].strip() == "B":
            continue
        order = books[row["Case ID"].strip()]
        completed, rejected, held = (number(row[name]) or Decimal(0) for name in QUANTITIES)
        if " ".join(row["Activity"].split()) == "Packing":
            order["yield"] += completed
        order["scrap"] += rejected
        order["mrb"] += held
    return {order: amounts for order, amounts in books.items() if any(amounts.values())}


def item_code(description: str) -> str:
    """What the item is called in ERP."""
    return "-".join(description.upper().split()) or "UNNAMED"


def orders(rows: list[Row]) -> dict[str, tuple[str, Decimal]]:
    """The orders that the reports name, with item and quantity: of each its last report that tells one, else one piece."""
    found: dict[str, tuple[str, Decimal]] = {}
    for row in rows:
        name, quantity = row["Case ID"].strip(), number(row["Work Order Qty"])
        if name and (quantity or name not in found):
            found[name] = (item_code(row["Part Desc."]), quantity or Decimal(1))
    return found


def totals(data: Path) -> list[Row]:
    """The totals per order beside the reports, which were made without any program of this project; none where there are none."""
    folder = data if data.is_dir() else data.parent
    found: list[Row] = []
    for path in sorted(folder.glob("totals*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            found += csv.DictReader(file)
    return found

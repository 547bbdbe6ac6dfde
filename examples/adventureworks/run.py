"""Twenty thousand real work orders, what the shop floor stocked and scrapped, and the ledger that ERP kept: where do they differ?

    python examples/adventureworks/run.py FOLDER

FOLDER holds the files that README.md names. Items, orders, reports and ledger rows are dropped as files into a running installation; then
`synchromesh reconcile orders` must list exactly the orders that a few lines over the same files find (check.py).
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
from check import differing, rows, scrapped

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.stores import Stores
from synchromesh.app.supervisor import Supervisor
from synchromesh.engine.views import Summary
from synchromesh.observe.lines import configure

HERE = Path(__file__).parent
LIMIT = 20.0
"""Seconds that the reconciliation may take."""

PATIENCE = 600.0
CONFIG = """\
[synchromesh]
name = "adventureworks"
data = "data"

[http]
port = 0

[[plant]]
id = "works"
zone = "America/Los_Angeles"
erp = "ledger"
adapters = [{adapters}]

[plant.policy]
booking = "record"

[erp.ledger]
connector = "listening"
"""
FILES = """
[[plant.files]]
folder = "{name}"
interface = "{interface}"
delimiter = "{delimiter}"
"""
INTERFACES = {"items": "erp-items/1", "orders": "erp-orders/1", "reports": "mes-reports/1", "ledger": "erp-ledger/1"}


class Failed(Exception):
    """Something is not as it must be."""


def configuration(folder: Path) -> Path:
    """Write the configuration of an installation with a drop folder for each kind of file."""
    adapters = ", ".join(json.dumps(str(HERE / name)) for name in INTERFACES)
    text = CONFIG.format(adapters=adapters)
    head, erp = text.split("[erp.ledger]")
    for name, interface in INTERFACES.items():
        (folder / name).mkdir()
        head += FILES.format(name=name, interface=interface, delimiter="\\t" if name == "items" else ",")
    config = folder / "synchromesh.toml"
    config.write_text(f"{head}\n[erp.ledger]{erp}")
    return config


def drop(folder: Path, name: str, source: Path, header: str = "") -> None:
    """Put a file into a drop folder as a careful writer does: under another name until it is whole."""
    part = folder / name / f"{name}.csv.part"
    if header:
        part.write_text(header + "\n" + source.read_text(encoding="utf-8-sig"), encoding="utf-8")
    else:
        shutil.copyfile(source, part)
    part.rename(folder / name / f"{name}.csv")


def taken(folder: Path, name: str) -> bool:
    """Whether a dropped file was read to its end."""
    return any((folder / name / "done").glob("*"))


async def until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise Failed(f"after {PATIENCE:.0f} s still waiting for {what}")
        await asyncio.sleep(0.1)


async def summary_of(supervisor: Supervisor) -> Summary:
    async with aiohttp.ClientSession() as session, session.get(f"{supervisor.address}/v1/summary") as answer:
        return msgspec.json.decode(await answer.read(), type=Summary)


async def tell(folder: Path, data: Path, supervisor: Supervisor, orders: Path, ledger: Path, count: int) -> None:
    """Drop the files, each when the one before it is in: items, orders, reports, ledger."""
    header = "\t".join(["ProductID", "Name", "ProductNumber", *(f"column{number}" for number in range(4, 26))])
    begin = time.monotonic()
    drop(folder, "items", data / "Product.csv", header)
    for name, source, before in (("orders", orders, "items"), ("reports", orders, "orders"), ("ledger", ledger, "reports")):
        await until(partial(taken, folder, before), f"the {before}")
        drop(folder, name, source)
    await until(partial(taken, folder, "ledger"), "the ledger")
    while (summary := await summary_of(supervisor)).facts < count or behind(folder):
        if time.monotonic() - begin > PATIENCE:
            raise Failed(f"the reports are not all folded: {summary.fates}")
        await asyncio.sleep(0.1)
    if summary.facts != count or summary.fates != {"recorded": count}:
        raise Failed(f"{count} reports, and fates of {summary.fates}")
    print(f"{summary.facts:,} reports and as many orders and documents in {time.monotonic() - begin:.1f} s, fates {summary.fates}")


def behind(folder: Path) -> bool:
    """Whether the log holds messages that are not folded yet."""
    settings = read_settings(folder / "synchromesh.toml")
    stores = Stores(settings)
    log, reading = stores.log(), stores.reading()
    try:
        return log.head().get("works", 0) > reading.positions().get("works", 0)
    finally:
        reading.close()
        log.close()


def reconcile(config: Path) -> tuple[dict[str, object], float]:
    """The command as a person would run it, and how long it took."""
    begin = time.monotonic()
    words = [sys.executable, "-m", "synchromesh.cli", "reconcile", "orders", "--json", "--config", str(config)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    took = time.monotonic() - begin
    if done.returncode != 1:
        raise Failed(f"differences end with 1, and this ended with {done.returncode}: {done.stderr}")
    (report,) = json.loads(done.stdout)
    return report, took


def check(report: dict[str, object], wanted: dict[str, tuple[int, int]], lost: dict[str, int], orders: int) -> None:
    """The report lists what the files say, and nothing else."""
    found = report["orders"]
    assert isinstance(found, list)
    receipts = {row["order"]: (int(row["reported"]), int(row["outside"])) for row in found if row["kind"] == "receipt"}
    scrap = {row["order"]: int(row["reported"]) for row in found if row["kind"] == "scrap"}
    if receipts != wanted:
        raise Failed(f"the files differ in {len(wanted)} orders, and {len(receipts)} were found")
    if scrap != lost:
        raise Failed(f"{len(lost)} orders lost something, and {len(scrap)} were found")
    if report["compared"] != orders or report["beyond"] != len(wanted) + len(lost) or report.get("more"):
        raise Failed(f"{orders} orders were to be compared: {report['compared']}, {report['beyond']} beyond")
    for row in found:
        if sum(Decimal(share["amount"]) for share in row["parts"]) != Decimal(row["difference"]):
            raise Failed(f"the parts of order {row['order']} do not sum to its difference")


async def main(data: Path) -> None:
    orders_file, orders = rows(data, "WorkOrder")
    ledger_file, ledger = rows(data, "TransactionHistory_W")
    wanted, lost = differing(orders, ledger), scrapped(orders)
    pieces = sum(booked - stocked for stocked, booked in wanted.values())
    with tempfile.TemporaryDirectory(prefix="synchromesh-adventureworks-") as name:
        folder = Path(name)
        config = configuration(folder)
        lines = folder / "synchromesh.log"
        configure(as_json=True, stream=lines.open("a", encoding="utf-8"))
        prepare(read_settings(config))
        supervisor = Supervisor(config, log=lines)
        await supervisor.start()
        try:
            await tell(folder, data, supervisor, orders_file, ledger_file, len(orders))
            report, took = await asyncio.to_thread(reconcile, config)
        except BaseException:
            print(*lines.read_text(errors="replace").splitlines()[-20:], sep="\n", file=sys.stderr)
            raise
        finally:
            await supervisor.stop()
    check(report, wanted, lost, len(orders))
    if took > LIMIT:
        raise Failed(f"the reconciliation took {took:.1f} s, more than {LIMIT:.0f} s")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{len(orders):,} orders reconciled in {took:.1f} s, start of the program included; no process had more than {memory} MB")
    print(f"{len(wanted):,} orders differ: ERP booked {pieces:,} pieces more than were stocked")
    print(f"{sum(lost.values()):,} pieces of {len(lost):,} orders were lost, and ERP's ledger says nothing of them")


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except Failed as failure:
        sys.exit(f"FAILED: {failure}")

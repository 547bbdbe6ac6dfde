"""Real reports of a real factory, booked in a real ERP (Tryton), and proved against the factory's own totals.

    python examples/4tu/run.py FOLDER

FOLDER holds the data set's reports as CSV (README.md says where they are published) and, where you have one, a file of totals per
order whose name begins with `totals`; a file of reports can be named, too. Orders and items are created in Tryton from the reports.
Then the reports are told twice over: (a) as a file in a drop folder, (b) shuffled over HTTP into an empty store and an empty Tryton, and
(c) three times more with processes killed at random. The books must be the same, and (c) must book nothing new.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
from reports import Books, Reports, Row, Unreadable, expected_books, find_reports, item_code, orders, totals

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.stores import Stores
from synchromesh.app.supervisor import Supervisor
from synchromesh.connectors.tryton.provision import Provisioner
from synchromesh.connectors.tryton.rpc import Tryton
from synchromesh.connectors.tryton.server import TrytonServer
from synchromesh.connectors.tryton.server import start as start_tryton
from synchromesh.connectors.tryton.settings import read_settings as tryton_settings
from synchromesh.engine.views import Summary
from synchromesh.model.quantity import Quantity
from synchromesh.observe.lines import configure
from synchromesh.plant.entities import Order

HERE = Path(__file__).parent
PLANT = "factory"
INTERFACE = "shopfloor-reports/1"
SOURCE = "shopfloor"
CONFIG = """\
[synchromesh]
name = "4tu"
data = "data"

[http]
port = 0

[[plant]]
id = "factory"
zone = "Europe/Amsterdam"
erp = "tryton"
adapters = [{adapter}]

[plant.policy]
gather = "order"
yield_operation = "Packing"
held_status = "mrb"
gather_silence_seconds = 86_400

[[plant.files]]
folder = "drop"
interface = "shopfloor-reports/1"
delimiter = "{delimiter}"

[erp.tryton]
connector = "tryton"
url = "{url}"
database = "{database}"
user = "{user}"
password = "{password}"
"""


class Failed(Exception):
    """Something is not as it must be."""


async def provision(server: TrytonServer, reports: Reports) -> None:
    """Create every item and every order that the reports name, released."""
    erp = Provisioner(server.settings())
    for code, description in {item_code(row["Part Desc."]): " ".join(row["Part Desc."].split()) for row in reports.rows}.items():
        await erp.create_item(code, description)
    for name, (code, quantity) in orders(reports.rows).items():
        await erp.create_order(name, code, Quantity(quantity, "EA"))
    await erp.close()


class Run:
    """One installation in a folder of its own, with a Tryton of its own."""

    def __init__(self, folder: Path, server: TrytonServer, delimiter: str) -> None:
        self.folder = folder
        self.server = server
        self.config = folder / "synchromesh.toml"
        (folder / "drop").mkdir()
        self.config.write_text(
            CONFIG.format(
                adapter=msgspec.json.encode(str(HERE / "adapter")).decode(),
                delimiter=delimiter.replace("\t", "\\t"),
                url=server.url,
                database=server.database,
                user=server.user,
                password=server.password,
            )
        )
        self.lines = folder / "synchromesh.log"
        configure(as_json=True, stream=self.lines.open("a", encoding="utf-8"))
        self.supervisor = Supervisor(self.config, log=self.lines)

    @asynccontextmanager
    async def serving(self):  # type: ignore[no-untyped-def]
        prepare(read_settings(self.config))
        self.supervisor = Supervisor(self.config, log=self.lines)
        await self.supervisor.start()
        try:
            yield self.supervisor
        except BaseException:
            print(*self.lines.read_text(errors="replace").splitlines()[-20:], sep="\n", file=sys.stderr)
            raise
        finally:
            await self.supervisor.stop()

    async def summary(self) -> Summary:
        async with aiohttp.ClientSession() as session, session.get(f"{self.supervisor.address}/v1/summary") as answer:
            return msgspec.json.decode(await answer.read(), type=Summary)

    async def settled(self, facts: int, patience: float = 300) -> Summary:
        """Wait until so many facts are in and none is on its way any more."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                summary = await self.summary()
            except aiohttp.ClientError:
                await asyncio.sleep(0.5)  # the gateway is being started again
                continue
            moving = sum(summary.fates.get(fate, 0) for fate in ("gathered", "booking", "waiting"))
            if summary.facts >= facts and not moving and not summary.waiting:
                return summary
            await asyncio.sleep(0.3)
        raise Failed(f"after {patience:.0f} s facts are still on their way: {summary.fates} of {summary.facts}")

    def orders(self, names: set[str]) -> dict[str, Order]:
        """The orders as they stand in the state."""
        reading = Stores(read_settings(self.config)).reading()
        found = reading.entities(PLANT, [("order", name) for name in sorted(names)])
        reading.close()
        return {key[1]: msgspec.msgpack.decode(value, type=Order) for key, value in found.items()}


async def drop_file(run: Run, source: Path) -> None:
    """Put the file into the drop folder as a careful writer does: under another name until it is whole."""
    part = run.folder / "drop" / (source.name + ".part")
    shutil.copyfile(source, part)
    part.rename(run.folder / "drop" / source.name)


async def tell_shuffled(run: Run, rows: list[Row], seed: int) -> None:
    """Post every row as JSON, in an order of chance, and then that the input has ended."""
    numbered = [{**row, "_line": int(row["_line"])} for row in rows]
    random.Random(seed).shuffle(numbered)
    async with aiohttp.ClientSession() as session:
        url = f"{run.supervisor.address}/v1/plants/{PLANT}/interfaces/{INTERFACE.replace('/', '%2F')}/messages"
        for start in range(0, len(numbered), 100):
            async with session.post(aiohttp.client.URL(url, encoded=True), json=numbered[start : start + 100]) as answer:
                if answer.status != 202:
                    raise Failed(await answer.text())
        ended = {"id": f"end-{seed}", "source": SOURCE}
        async with session.post(f"{run.supervisor.address}/v1/plants/{PLANT}/ended", json=ended) as answer:
            if answer.status != 202:
                raise Failed(await answer.text())


async def read_books(server: TrytonServer) -> tuple[Books, int]:
    """What Tryton's own stock moves say of each order, and how many documents there are."""
    tryton = Tryton(tryton_settings(server.settings()))
    books: Books = defaultdict(lambda: {"yield": Decimal(0), "scrap": Decimal(0), "mrb": Decimal(0)})
    fields = ["quantity", "to_location.code", "to_location.type", "production_output.reference"]
    moves = await tryton.call(
        "model.stock.move.search_read", [["state", "=", "done"], ["production_output", "!=", None]], 0, None, None, fields
    )
    assert isinstance(moves, list)
    for move in moves:
        assert isinstance(move, dict)
        place = move["to_location."]
        order = move["production_output."]
        assert isinstance(place, dict)
        assert isinstance(order, dict)
        kind = "scrap" if place["type"] == "lost_found" else "mrb" if str(place["code"]).endswith("/mrb") else "yield"
        books[str(order["reference"])][kind] += Decimal(str(move["quantity"]))
    documents = await tryton.call("model.synchromesh.posting.search_count", [])
    await tryton.close()
    assert isinstance(documents, int)
    return dict(books), documents


def check_totals(data: Path, found: Mapping[str, Order]) -> int:
    """Compare the state's totals per operation with those beside the reports."""
    count = 0
    for row in totals(data):
        if row["case"] not in found:
            continue  # of other reports in the same folder
        operations = found[row["case"]].operations
        sums = {
            "completed": sum(sum(each.good.values()) for each in operations.values()),
            "rejected": sum(sum((each.scrap or {}).values()) for each in operations.values()),
            "mrb": sum(sum((each.held or {}).values()) for each in operations.values()),
            "packed": sum(operations["Packing"].good.values()) if "Packing" in operations else 0,
        }
        for name, value in sums.items():
            if value != Decimal(row[name]):
                raise Failed(f"order {row['case']}: the state has {value} {name}, the totals say {row[name]}")
        count += 1
    return count


def check_books(books: Books, reports: Reports, label: str) -> None:
    wanted = expected_books(reports.rows)
    for order in sorted(wanted.keys() | books.keys()):
        if books.get(order) != wanted.get(order):
            raise Failed(f"{label}: order {order}: Tryton has {books.get(order)}, the reports say {wanted.get(order)}")


def check_fates(summary: Summary, facts: int, exceptions: int, label: str) -> None:
    if summary.facts != facts or sum(summary.fates.values()) != facts:
        raise Failed(f"{label}: {facts} reports, and fates of {summary.fates}, which sum to {sum(summary.fates.values())}")
    if summary.fates.get("exception", 0) != exceptions:
        raise Failed(f"{label}: {exceptions} reports can't be booked by any rule, and the fates are {summary.fates}")


async def kill_at_random(run: Run, chance: random.Random, stop: asyncio.Event) -> int:
    """Kill a process now and then, as a power cut would; the supervisor starts it again."""
    kills = 0
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), chance.uniform(1.0, 3.0))
        except TimeoutError:
            role = chance.choice(["gateway", "worker", "dispatcher"])
            process = run.supervisor.processes[role]
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
    return kills


async def first_run(folder: Path, cache: Path, data: Path, reports: Reports) -> Books:
    """(a) the file edge, and (c) three times more with processes killed at random."""
    server = start_tryton(folder / "tryton", cache)
    try:
        await provision(server, reports)
        run = Run(folder, server, reports.delimiter)
        async with run.serving():
            begin = time.monotonic()
            await drop_file(run, reports.path)
            summary = await run.settled(reports.count)
            check_fates(summary, reports.count, reports.exceptions, "(a)")
            took = time.monotonic() - begin
            print(f"(a) file: {summary.facts} reports in {took:.0f} s, fates {summary.fates}, {summary.documents} documents")
        books, documents = await read_books(server)
        check_books(books, reports, "(a)")
        count = check_totals(data, run.orders({*orders(reports.rows)}))
        print(
            f"(a) Tryton holds yield, scrap and mrb of {len(books)} orders once, in {documents} documents; totals of {count} orders agree"
        )
        await again_with_kills(run, reports, documents)
        return books
    finally:
        server.stop()


async def again_with_kills(run: Run, reports: Reports, documents: int) -> None:
    async with run.serving():
        stop = asyncio.Event()
        killing = asyncio.create_task(kill_at_random(run, random.Random(4), stop))
        for repeat in range(1, 4):
            await drop_file(run, reports.path)
            done = run.folder / "drop" / "done"
            until = time.monotonic() + 120
            while sum(1 for _ in done.iterdir()) < repeat + 1 and time.monotonic() < until:
                await asyncio.sleep(0.3)
        stop.set()
        kills = await killing
        summary = await run.settled(reports.count * 4)
    _, now = await read_books(run.server)
    if now != documents:
        raise Failed(f"(c) {now - documents} new documents after telling everything three times more")
    print(f"(c) told three times more, {kills} processes killed: {summary.fates.get('duplicate')} duplicates, no new document")


async def second_run(folder: Path, cache: Path, reports: Reports) -> Books:
    """(b) the same reports shuffled over HTTP, into an empty store and another Tryton. A row that is broken as CSV can't be told there."""
    server = start_tryton(folder / "tryton", cache)
    try:
        await provision(server, reports)
        run = Run(folder, server, reports.delimiter)
        facts = len(reports.rows)
        async with run.serving():
            begin = time.monotonic()
            await tell_shuffled(run, reports.rows, seed=7)
            summary = await run.settled(facts)
            check_fates(summary, facts, reports.exceptions - reports.broken, "(b)")
            print(f"(b) HTTP, shuffled: {summary.facts} reports in {time.monotonic() - begin:.0f} s, {summary.documents} documents")
        books, _ = await read_books(server)
        check_books(books, reports, "(b)")
        return books
    finally:
        server.stop()


async def run_reports(data: Path, reports: Reports) -> None:
    """All three tellings of one file."""
    print(f"{reports.count} reports of {len(orders(reports.rows))} orders in {reports.path.name}")
    cache = Path(tempfile.gettempdir()) / "synchromesh-tryton"
    with tempfile.TemporaryDirectory(prefix="synchromesh-4tu-") as folder:
        for part in ("a", "b"):
            (Path(folder) / part).mkdir()
        first = await first_run(Path(folder) / "a", cache, data, reports)
        second = await second_run(Path(folder) / "b", cache, reports)
    if first != second:
        raise Failed("(a) and (b) differ")
    print("(a) and (b) give the same books")


async def main(data: Path) -> None:
    for reports in find_reports(data):
        await run_reports(data, reports)


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except (Failed, Unreadable) as failure:
        sys.exit(f"FAILED: {failure}")

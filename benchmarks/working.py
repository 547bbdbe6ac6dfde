"""The worker on SQLite: reads, maps, folds and commits facts and their outcomes; and a loop that does the same writes without rules."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import apsw
import msgspec
from benchmarks.figures import Figure
from benchmarks.plant import PLANT, SERIES, Size, encode, load, lot_name, order_name, reports

from synchromesh.app import pages
from synchromesh.engine.worker import Worker, own_message
from synchromesh.log.agreement import Log
from synchromesh.log.sqlite import SqliteLog
from synchromesh.model.event import EXTERNAL, OutcomesReported, ProductionReported
from synchromesh.model.message import Message
from synchromesh.model.posting import Fate, Outcome
from synchromesh.plant.entities import Totals
from synchromesh.plant.keys import key_of, stem_of
from synchromesh.state.agreement import Reading
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState

TARGET = 10_000
SHARE = 0.5
BATCH = 4_000
OUTCOMES = 100
"""Outcomes in one message of a dispatcher under load."""
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def measure(size: Size) -> Figure:
    """Facts a second, the fold of their outcomes included."""
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as folder:
        taken = _worker(Path(folder), size)
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as folder:
        raw = _raw(Path(folder) / "raw.db", size)
    return Figure("worker, outcomes included", size.facts / taken, "facts/s", TARGET, raw=raw, least=SHARE)


def _worker(folder: Path, size: Size) -> float:
    log, state = SqliteLog(folder / "log.db"), SqliteState(folder / "state.db")
    load(log, size, NOW)
    worker = Worker(log, state, [PLANT], "bench", now=lambda: NOW, batch=BATCH)
    drain(worker)
    interleave(log, reports(size, 1, size.facts, NOW), worker.positions[PLANT])
    with as_the_worker():
        started = time.perf_counter()
        drain(worker)
        taken = time.perf_counter() - started
    state.close()
    log.close()
    assert booked(folder) == size.facts, "every fact is booked"
    return taken


@contextmanager
def as_the_worker() -> Iterator[None]:
    """As in the worker's own process: the garbage collector looks rarely, not within a minute, and memory is in large pages."""
    gc.collect()
    gc.freeze()
    gc.disable()
    pages.ask()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def drain(worker: Worker) -> None:
    """Fold until nothing is left."""
    while worker.step():
        pass


def interleave(log: Log, messages: list[Message], head: int, name: str = "o", plant: str = PLANT) -> None:
    """Append facts, a batch at a time, and behind each batch the outcomes of the batch before it, as under load."""
    waiting: list[int] = []
    for first in range(0, len(messages) + BATCH, BATCH):
        facts = messages[first : first + BATCH]
        told = [_outcomes(waiting[k : k + OUTCOMES], f"{name}-{first + k}", plant) for k in range(0, len(waiting), OUTCOMES)]
        if facts or told:
            log.append([*facts, *told])
        waiting = list(range(head + 1, head + 1 + len(facts)))
        head += len(facts) + len(told)


def _outcomes(positions: list[int], name: str, plant: str) -> Message:
    stem = stem_of(plant, SERIES)
    outcomes = tuple(Outcome(key_of(stem, each, "receipt", 1), Fate.POSTED, NOW, f"49{each:09d}") for each in positions)
    return own_message(plant, name, OutcomesReported(outcomes), NOW)


def booked(folder: Path) -> int:
    """Documents that the stored totals count."""
    reading = SqliteReading(folder / "state.db")
    try:
        return documents(reading)
    finally:
        reading.close()


def documents(reading: Reading) -> int:
    """Documents that a store's totals count."""
    value = reading.entities(PLANT, [("totals", "")])[("totals", "")]
    return msgspec.msgpack.decode(value, type=Totals).documents


_TABLES = """
CREATE TABLE entity (kind TEXT, name TEXT, value BLOB, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE fact (at INTEGER PRIMARY KEY, value BLOB);
CREATE TABLE posting (at INTEGER PRIMARY KEY, value BLOB);
CREATE TABLE outbox (at INTEGER PRIMARY KEY, lane TEXT);
CREATE TABLE document (number TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID;
CREATE TABLE identity (hash INTEGER PRIMARY KEY, at INTEGER);
"""


ORDER, STOCK, LOT, FACT, POSTING, POSTED = 150, 20, 25, 110, 345, 375
"""Bytes of the product's rows; `FACT` without the event."""


def _raw(path: Path, size: Size) -> float:
    """Decode each message, write its fact, identity, order, balance, lot, posting and outbox row; a batch later the outcome's rows."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;" + _TABLES).fetchall()
    _fill(connection, size)
    bodies = [(number, message.id, message.body) for number, message in enumerate(reports(size, 1, size.facts, NOW))]
    decode = msgspec.json.Decoder(EXTERNAL).decode
    waiting: list[tuple[int, str, str]] = []
    started = time.perf_counter()
    for first in range(0, len(bodies) + BATCH, BATCH):
        events = [(number, name, decode(body)) for number, name, body in bodies[first : first + BATCH]]
        lanes = [(number, event.order, event.lot) for number, _, event in events if isinstance(event, ProductionReported)]
        connection.execute("BEGIN IMMEDIATE")
        many = connection.executemany
        update = "UPDATE entity SET value = ? WHERE kind = ? AND name = ?"
        many(update, [(bytes(LOT), "lot", lot) for lot in sorted({lot for _, _, lot in lanes})])
        many(update, [(bytes(ORDER), "order", order) for order in sorted({order for _, order, _ in lanes})])
        many(update, [(bytes(STOCK), "stock", lot) for lot in sorted({lot for _, _, lot in lanes + waiting})])
        many("INSERT INTO fact VALUES (?, ?)", [(number, encode(event) + bytes(FACT)) for number, _, event in events])
        many("INSERT INTO identity VALUES (?, ?)", [(hashed(name), number) for number, name, _ in events])
        many("INSERT INTO posting VALUES (?, ?)", [(number, bytes(POSTING)) for number, _, _ in lanes])
        many("INSERT INTO outbox VALUES (?, ?)", [(number, order) for number, order, _ in lanes])
        many("UPDATE posting SET value = ? WHERE at = ?", [(bytes(POSTED), number) for number, _, _ in waiting])
        many("DELETE FROM outbox WHERE at = ?", [(number,) for number, _, _ in waiting])
        many("INSERT INTO document VALUES (?, ?)", [(f"49{number:09d}", number) for number, _, _ in waiting])
        connection.execute("COMMIT")
        waiting = lanes
    taken = time.perf_counter() - started
    connection.close()
    return size.facts / taken


def _fill(connection: apsw.Connection, size: Size) -> None:
    """Orders of which nothing was reported yet, and lots with their stock."""
    connection.execute("BEGIN")
    insert = "INSERT INTO entity VALUES (?, ?, ?)"
    connection.executemany(insert, (("order", order_name(number), bytes(ORDER // 2)) for number in range(size.orders)))
    lots = sorted({lot_name(size, number) for number in range(size.orders)})
    for kind, length in (("lot", LOT), ("stock", STOCK)):
        connection.executemany(insert, ((kind, lot, bytes(length)) for lot in lots))
    connection.execute("COMMIT")


def hashed(name: str) -> int:
    """The hash under which the bare loops keep an identity."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)

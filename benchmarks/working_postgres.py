"""The worker on PostgreSQL, as `working` does it on SQLite; and a loop that does the same writes without rules: prepared statements in a
pipeline, each key written once, two trips to the server for a batch. Both on one real server in which each commit syncs the disk."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from benchmarks.figures import Figure
from benchmarks.plant import PLANT, Size, encode, load, lot_name, order_name, reports
from benchmarks.working import (
    BATCH,
    FACT,
    LOT,
    NOW,
    ORDER,
    POSTED,
    POSTING,
    SHARE,
    STOCK,
    as_the_worker,
    documents,
    drain,
    hashed,
    interleave,
)
from tests.postgres.server import Server

from synchromesh.engine.worker import Worker
from synchromesh.log.sqlite import SqliteLog
from synchromesh.model.event import EXTERNAL, ProductionReported
from synchromesh.model.message import Message
from synchromesh.postgres.arrays import bigints, blobs, register, texts
from synchromesh.postgres.database import database
from synchromesh.state.postgres.reading import PostgresReading
from synchromesh.state.postgres.store import PostgresState

TARGET: Final = 12_000
SETTINGS: Final = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


def measure(size: Size) -> Figure:
    """Facts a second, the fold of their outcomes included."""
    server = Server(durable=True, settings=SETTINGS)
    try:
        with server.fresh() as name, tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as folder:
            taken, note = _worker(server.address(name), Path(folder), size)
        with server.fresh() as name:
            raw = _raw(server.address(name), size)
    finally:
        server.close()
    return Figure("worker on PostgreSQL, outcomes included", size.facts / taken, "facts/s", TARGET, raw=raw, least=SHARE, note=note)


def _worker(address: str, folder: Path, size: Size) -> tuple[float, str]:
    log, state = SqliteLog(folder / "log.db"), PostgresState(database(address), "bench", lease_seconds=600)
    load(log, size, NOW)
    worker = Worker(log, state, [PLANT], "bench", now=lambda: NOW, batch=BATCH)
    drain(worker)
    interleave(log, reports(size, 1, size.facts, NOW), worker.positions[PLANT])
    with psycopg.connect(address, autocommit=True) as connection:
        # As a plant's tables are that were not made a second ago.
        connection.execute("VACUUM ANALYZE")
    with as_the_worker():
        started, spent = time.perf_counter(), time.process_time()
        drain(worker)
        taken, spent = time.perf_counter() - started, time.process_time() - spent
    state.close()
    log.close()
    reading = PostgresReading(database(address))
    assert documents(reading) == size.facts, "every fact is booked"
    reading.close()
    return taken, f"the worker itself computes {spent / size.facts * 1e6:.0f} µs a fact; the rest is the server's"


_TABLES: Final = """
CREATE TABLE entity (kind text COLLATE "C", name text COLLATE "C", value bytea, PRIMARY KEY (kind, name)) WITH (fillfactor = 60);
CREATE TABLE fact (at bigint PRIMARY KEY, value bytea);
CREATE TABLE posting (at bigint PRIMARY KEY, value bytea) WITH (fillfactor = 50);
CREATE TABLE outbox (at bigint PRIMARY KEY, lane text COLLATE "C");
CREATE TABLE document (number text COLLATE "C" PRIMARY KEY, at bigint);
CREATE TABLE identity (hash bigint PRIMARY KEY, at bigint);
CREATE TABLE position (one int PRIMARY KEY, at bigint);
INSERT INTO position VALUES (1, 0);
"""
_ENTITIES: Final = "INSERT INTO entity SELECT %s, * FROM unnest(%s, %s) ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value"
_INSERT: Final = "INSERT INTO {} SELECT * FROM unnest(%s, %s)"
_POSTED: Final = "UPDATE posting p SET value = r.value FROM unnest(%s, %s) AS r (at, value) WHERE p.at = r.at"
_SENT: Final = "DELETE FROM outbox o USING unnest(%s) AS r (at) WHERE o.at = r.at"


def _raw(address: str, size: Size) -> float:
    """Decode each message, write its fact, identity, order, balance, lot, posting and outbox row; a batch later the outcome's rows."""
    with psycopg.connect(address, autocommit=True, prepare_threshold=0) as connection:
        register(connection)
        connection.execute(_TABLES, prepare=False)
        _fill(connection, size)
        messages = list(enumerate(reports(size, 1, size.facts, NOW)))
        waiting: list[tuple[int, str, str]] = []
        started = time.perf_counter()
        for first in range(0, len(messages) + BATCH, BATCH):
            waiting = _batch(connection, messages[first : first + BATCH], waiting)
        return size.facts / (time.perf_counter() - started)


_decode: Final = msgspec.json.Decoder(EXTERNAL).decode


def _batch(
    connection: psycopg.Connection[Any], messages: list[tuple[int, Message]], waiting: list[tuple[int, str, str]]
) -> list[tuple[int, str, str]]:
    events = [(number, message.id, _decode(message.body)) for number, message in messages]
    lanes = [(number, event.order, event.lot) for number, _, event in events if isinstance(event, ProductionReported)]
    numbers, ended = bigints([each[0] for each in lanes]), bigints([each[0] for each in waiting])
    run = connection.execute
    with connection.pipeline() as pipeline:
        run("BEGIN", prepare=False)
        run("SELECT at FROM position FOR UPDATE")
        _put(connection, "lot", {lot for _, _, lot in lanes}, LOT)
        _put(connection, "order", {order for _, order, _ in lanes}, ORDER)
        _put(connection, "stock", {lot for _, _, lot in [*lanes, *waiting]}, STOCK)
        run(_INSERT.format("fact"), (numbers, blobs([encode(event) + bytes(FACT) for _, _, event in events])))
        run(_INSERT.format("identity"), (bigints([hashed(name) for _, name, _ in events]), numbers))
        run(_INSERT.format("posting"), (numbers, blobs([bytes(POSTING)] * len(lanes))))
        run(_INSERT.format("outbox"), (numbers, texts([order for _, order, _ in lanes])))
        run(_POSTED, (ended, blobs([bytes(POSTED)] * len(waiting))))
        run(_SENT, (ended,))
        run(_INSERT.format("document"), (texts([f"49{number:09d}" for number, _, _ in waiting]), ended))
        run("UPDATE position SET at = at + 1")
        pipeline.sync()
        run("COMMIT", prepare=False)
    return lanes


def _put(connection: psycopg.Connection[Any], kind: str, names: set[str], length: int) -> None:
    connection.execute(_ENTITIES, (kind, texts(sorted(names)), blobs([bytes(length)] * len(names))))


def _fill(connection: psycopg.Connection[Any], size: Size) -> None:
    """Orders of which nothing was reported yet, and lots with their stock."""
    _put(connection, "order", {order_name(number) for number in range(size.orders)}, ORDER // 2)
    lots = {lot_name(size, number) for number in range(size.orders)}
    for kind, length in (("lot", LOT), ("stock", STOCK)):
        _put(connection, kind, lots, length)
    connection.execute("VACUUM ANALYZE", prepare=False)

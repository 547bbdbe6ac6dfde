"""Appending to the log on PostgreSQL, beside what the same server takes from a bare loop that gives no positions and keeps no promises:
one connection, one batch of the same bytes at a time, each one durable when its loop goes on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from benchmarks.figures import Figure
from benchmarks.plant import PLANT, Size
from tests.postgres.server import Server

from synchromesh.log.encoding import encode
from synchromesh.log.postgres.log import PostgresLog
from synchromesh.model.message import NATIVE, Message
from synchromesh.postgres.arrays import bigints, blobs, register
from synchromesh.postgres.database import database

BATCHES: Final = {1: 1_500, 100: 30_000, 1_000: 50_000}
"""Messages a second that are wanted with so many in an append."""
LEAST: Final = 0.5
BODY: Final = b'{"type": "production_reported", "order": "WO-4711", "operation": "10", "good": {"value": "12", "unit": "EA"}}'.ljust(450)
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_RAW: Final = b"INSERT INTO raw (position, body) SELECT * FROM unnest(%s, %s)"


def measure(size: Size) -> list[Figure]:
    """Messages a second for each size of an append. Log and loops take turns, append by append, so that what else the machine does
    hits them alike."""
    server = Server(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as folder, server.fresh() as name:
            log = PostgresLog(database(server.address(name)), Path(folder))
            with psycopg.connect(server.address(name), autocommit=True, prepare_threshold=1) as connection:
                register(connection)
                connection.execute("CREATE TABLE raw (position bigint PRIMARY KEY, body bytea NOT NULL)")
                raw = _Raw(connection)
                figures = [_figure(log, raw, batch, size.seconds / 3) for batch in BATCHES]
            log.close()
    finally:
        server.close()
    return figures


class _Raw:
    """The bare loops."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection
        self._last = 0

    def unnest(self, bodies: list[bytes]) -> None:
        self._connection.execute(_RAW, (bigints(self._next(bodies)), blobs(bodies)), binary=True)

    def copy(self, bodies: list[bytes]) -> None:
        with self._connection.cursor().copy("COPY raw (position, body) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int8", "bytea"])
            for row in zip(self._next(bodies), bodies, strict=True):
                copy.write_row(row)

    def _next(self, bodies: list[bytes]) -> range:
        first, self._last = self._last + 1, self._last + len(bodies)
        return range(first, self._last + 1)


def _figure(log: PostgresLog, raw: _Raw, batch: int, seconds: float) -> Figure:
    told = [Message(PLANT, "mes", f"m-{batch}-{number}", NATIVE, NOW, BODY, occurred=NOW) for number in range(batch)]
    bodies = [encode(message) for message in told]
    loops: dict[str, Callable[[], object]] = {
        "log": lambda: log.append(told),
        "unnest": lambda: raw.unnest(bodies),
        "copy": lambda: raw.copy(bodies),
    }
    rates = {name: batch / seconds_each for name, seconds_each in _seconds(loops, seconds).items()}
    note = f"unnest {rates['unnest']:,.0f}/s, COPY {rates['copy']:,.0f}/s"
    raw_rate = max(rates["unnest"], rates["copy"])
    return Figure(f"PostgreSQL append, {batch} at a time", rates["log"], "messages/s", BATCHES[batch], raw=raw_rate, least=LEAST, note=note)


def _seconds(loops: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """The seconds that one turn of each loop takes. They take turns one by one."""
    spent = dict.fromkeys(loops, 0.0)
    turns = 0
    while not turns or sum(spent.values()) < seconds:
        for name, loop in loops.items():
            started = time.perf_counter()
            loop()
            spent[name] += time.perf_counter() - started
        turns += 1
    return {name: total / turns for name, total in spent.items()}

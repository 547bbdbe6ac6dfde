"""Mapping and folding alone: everything is in memory, nothing is stored."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from benchmarks.figures import Figure
from benchmarks.plant import PLANT, Size, load, reports
from benchmarks.working import as_the_worker

from synchromesh.engine import foresight
from synchromesh.engine.reader import Reader
from synchromesh.engine.worker import Worker
from synchromesh.log.memory import MemoryLog
from synchromesh.model.event import EXTERNAL, ProductionReported
from synchromesh.model.message import Message, Record
from synchromesh.model.quantity import exactly
from synchromesh.plant.fold import fold
from synchromesh.plant.view import View
from synchromesh.state.memory import MemoryState, MemoryStore

TARGET = 40_000
BATCH = 1_000
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def measure(size: Size) -> Figure:
    """Facts a second of one core, beside a loop that decodes the same messages, sums them and encodes them again."""
    log, state = MemoryLog(), MemoryState(MemoryStore())
    load(log, size, NOW)
    worker = Worker(log, state, [PLANT], "bench", now=lambda: NOW, batch=BATCH)
    while worker.step():
        pass
    messages = reports(size, 1, size.facts, NOW)
    first = worker.positions[PLANT] + 1
    view = View(PLANT, state, bound=4 * size.orders + 4 * size.facts)
    records = [Record(first + number, message) for number, message in enumerate(messages)]
    with as_the_worker():
        taken = sum(_batch(view, records[number : number + BATCH]) for number in range(0, len(records), BATCH))
    totals = view.totals()
    assert totals.fates.get("booking") == size.facts, f"every report is booked, and {totals.fates} were"
    return Figure("map + fold alone", size.facts / taken, "facts/s", TARGET, raw=_raw(messages))


def _batch(view: View, records: list[Record]) -> float:
    """Seconds that reading and folding take; loading what they need and keeping what they changed is the store's part."""
    reader = Reader(view)
    started = time.process_time()
    told = [reader.read(record) for record in records]
    taken = time.process_time() - started
    foresight.prefetch(view, told)
    started = time.process_time()
    with exactly():
        for each in told:
            fold(view, each)
    taken += time.process_time() - started
    view.flush()
    view.committed()
    return taken


def _raw(messages: list[Message]) -> float:
    decode = msgspec.json.Decoder(EXTERNAL).decode
    encode = msgspec.json.Encoder(decimal_format="string").encode
    sums: dict[str, Decimal] = {}
    started = time.process_time()
    for message in messages:
        event = decode(message.body)
        assert isinstance(event, ProductionReported)
        assert event.good is not None
        sums[event.order] = sums.get(event.order, Decimal(0)) + event.good.amount
        encode(event)
    return len(messages) / (time.process_time() - started)

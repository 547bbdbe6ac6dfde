"""The log on JetStream beside bare publishing with the same acknowledgement: frames of a thousand events, and single events.

On one server and on a cluster of three, each storing to the disk before it acknowledges (`sync_interval: always`). Ours and the bare loop
take turns, and each figure is the median of the pairs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import uvloop
from benchmarks.figures import Figure
from benchmarks.plant import PLANT, Size, encode, order_name
from benchmarks.working import NOW
from nats.aio.client import Client
from tests.nats.server import Cluster, Server

from synchromesh.log.encoding import encode as stored
from synchromesh.log.jetstream import JetStreamLog, Options
from synchromesh.model.event import ProductionReported
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.quantity import Quantity

FRAME = 1_000
EVENT = 500
"""Bytes of an event."""
SHARE = 0.5
"""The least share of bare framed publishing."""
PAIRS = 9
TARGETS = {1: (50_000.0, 5.0), 3: (10_000.0, 10.0)}
"""By number of servers: events a second in frames, and milliseconds for one event."""


class Raw:
    """Bare publishing, one message after another, each acknowledged before the next."""

    def __init__(self, address: str, replicas: int) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._client = Client()
        self._runner.run(self._open(address, replicas))

    async def _open(self, address: str, replicas: int) -> None:
        await self._client.connect(address.split(","))
        config = {"name": "RAW", "subjects": ["raw"], "storage": "file", "num_replicas": replicas}
        answer = await self._client.request("$JS.API.STREAM.CREATE.RAW", json.dumps(config).encode(), timeout=10)
        assert b'"error"' not in answer.data, answer.data

    def publish(self, payload: bytes, times: int) -> None:
        async def go() -> None:
            for _ in range(times):
                answer = await self._client.request("raw", payload, timeout=10)
                assert b'"error"' not in answer.data, answer.data

        self._runner.run(go())

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


def measure(size: Size) -> list[Figure]:
    """Events a second in frames, and milliseconds of one event alone."""
    frames = 2 if size.orders < 1_000 else 20
    return [figure for servers in (1, 3) for figure in _on(servers, frames)]


def _on(servers: int, frames: int) -> list[Figure]:
    messages = [_report(number) for number in range(FRAME)]
    payload = b"".join(map(stored, messages))
    singles = 5 * frames
    with _running(servers) as (address, folder):
        log = JetStreamLog(address, folder, options=Options(replicas=servers))
        raw = Raw(address, servers)
        ours, bare = _pairs(lambda: _times(lambda: log.append(messages), frames), lambda: raw.publish(payload, frames))
        one, bare_one = _pairs(lambda: _times(lambda: log.append(messages[:1]), singles), lambda: raw.publish(payload[:EVENT], singles))
        log.close()
        raw.close()
    rate, latency = TARGETS[servers]
    named = f"JetStream, {servers} server{'s' * (servers > 1)}"
    return [
        Figure(f"{named}, frames of {FRAME:,}", frames * FRAME / ours, "events/s", rate, frames * FRAME / bare, least=SHARE),
        Figure(f"{named}, one event", one / singles * 1000, "ms", latency, bare_one / singles * 1000, lower=True),
    ]


@contextmanager
def _running(servers: int) -> Iterator[tuple[str, Path]]:
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as name:
        folder = Path(name)
        with Server(folder / "nats") if servers == 1 else Cluster(folder / "nats", size=servers) as running:
            yield running.address, folder


def _pairs(ours: Callable[[], object], raw: Callable[[], object]) -> tuple[float, float]:
    """The median seconds of each, measured in turns."""
    ours()
    raw()
    pairs = [(_timed(ours), _timed(raw)) for _ in range(PAIRS)]
    return statistics.median(first for first, _ in pairs), statistics.median(second for _, second in pairs)


def _times(do: Callable[[], object], times: int) -> None:
    for _ in range(times):
        do()


def _timed(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def _report(number: int) -> Message:
    event = ProductionReported(order_name(number), good=Quantity(Decimal(1), "EA"))
    return Message(PLANT, "mes", f"m-{number}", NATIVE, NOW, encode(event).ljust(EVENT), occurred=NOW)

"""A load driver for the HTTP edge that costs little itself: a raw protocol on prepared bytes, one request in flight a connection.

Closed loop: every connection posts again as soon as it is answered. Open loop: posts fall due at a fixed rate whether or not answers
come, and latency counts from when a post was due, so that a slow server cannot slow the question down. Use it as a program (`--help`)
or through `drive`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import cast

import uvloop

_EVENT = (
    '{"id":"%s-%d","source":"bench","type":"production.reported","time":"%s","data":{"order":"%s","operation":"%s","item":"%s",'
    '"good":{"amount":"%d","unit":"EA"},"scrap":{"amount":"%d","unit":"EA"},"lot":"%s","location":"FG-01","reason":"bench",'
    '"labour_seconds":%d,"machine_seconds":%d}}'
)


@dataclass(frozen=True)
class Load:
    """What to send: to whom, how much, how. `rate` is events a second, 0 for a closed loop; `batch` events a post."""

    host: str
    port: int
    plants: tuple[str, ...]
    seconds: float
    connections: int = 64
    rate: float = 0.0
    batch: int = 1
    orders: int = 100_000
    items: int = 1_000
    lots: int = 20_000
    seed: int = 1
    prefix: str = "b"


@dataclass
class Result:
    """What was measured. Times in milliseconds, CPU in seconds; `events` and `posts` count what was acknowledged, `unsent` the
    posts that were due when the time was over and found no free connection."""

    events: int = 0
    posts: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    unsent: int = 0
    seconds: float = 0.0
    per_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    driver_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list, repr=False)


def events(load: Load) -> Iterator[tuple[str, bytes]]:
    """Endless posts: (plant, body). Events of about 400 bytes, ids never twice for one prefix, chance from the seed."""
    chance = random.Random(load.seed)
    number = 0
    while True:
        now = datetime.now(UTC).isoformat()
        plant = load.plants[number % len(load.plants)]
        told = []
        for _ in range(load.batch):
            number += 1
            order = chance.randrange(load.orders)
            told.append(
                _EVENT
                % (
                    load.prefix, number, now, f"WO-{order:06d}", "10", f"ITEM-{order % load.items:04d}", 1 + number % 20, number % 2,
                    f"LOT-{order % load.lots:06d}", 60, 120,
                )
            )  # fmt: skip
        yield plant, (told[0] if load.batch == 1 else "[" + ",".join(told) + "]").encode()


class _Client(asyncio.Protocol):
    """One connection: at most one post in flight. Answers of the edge have a content-length."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.due = 0.0
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by class

    def post(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.find(b"content-length: ", 0, end)
        length = int(self.buffer[at + 16 : self.buffer.find(b"\r\n", at)])
        if len(self.buffer) < end + 4 + length:
            return
        status = self.buffer[9:12]
        self.buffer = b""
        self.run.answered(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.lost(self)


class _Run:
    """One measurement."""

    def __init__(self, load: Load, posts: Iterator[tuple[str, bytes]]) -> None:
        self.load = load
        self.posts = posts
        self.result = Result()
        self.idle: deque[_Client] = deque()
        self.due: deque[float] = deque()
        self.flying = 0
        self.ended = False
        self.drained = asyncio.Event()

    def request(self) -> bytes:
        plant, body = next(self.posts)
        return (
            b"POST /v1/plants/%b/events HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (plant.encode(), self.load.host.encode(), len(body), body)
        )  # fmt: skip

    def answered(self, client: _Client, status: bytes) -> None:
        now = time.monotonic()
        result = self.result
        if status in (b"202", b"200"):
            result.posts += 1
            result.latencies.append(now - client.due)
        else:
            result.refused[status.decode()] = result.refused.get(status.decode(), 0) + 1
        if self.ended or (self.load.rate and not self.due):
            self.flying -= 1
            self.idle.append(client)
            if self.ended and not self.flying:
                self.drained.set()
        else:
            client.post(self.request(), self.due.popleft() if self.load.rate else now)

    def lost(self, client: _Client) -> None:
        """The server closed a connection: what flew on it is unanswered."""
        if client in self.idle:
            self.idle.remove(client)
        elif not self.drained.is_set():
            self.flying -= 1
            self.result.unanswered += 1

    def launch(self, due: float) -> None:
        if self.idle:
            self.flying += 1
            self.idle.popleft().post(self.request(), due)
        else:
            self.due.append(due)

    async def go(self) -> Result:
        loop = asyncio.get_running_loop()
        for _ in range(self.load.connections):
            _, client = await loop.create_connection(lambda: _Client(self), self.load.host, self.load.port)
            self.idle.append(client)
        cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        started = time.monotonic()
        if self.load.rate:
            await self._open(started)
        else:
            for _ in range(self.load.connections):
                self.launch(time.monotonic())
            await asyncio.sleep(self.load.seconds)
        elapsed = time.monotonic() - started
        acknowledged = self.result.posts
        self.result.driver_cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu
        await self._drain()
        return _summed(self.result, self.load, elapsed, acknowledged)

    async def _open(self, started: float) -> None:
        """Launch what has fallen due, every millisecond."""
        gap = self.load.batch / self.load.rate
        launched = 0
        while (now := time.monotonic() - started) < self.load.seconds:
            while launched * gap <= now:
                self.launch(started + launched * gap)
                launched += 1
            await asyncio.sleep(0.001)

    async def _drain(self) -> None:
        self.ended = True
        if self.flying:
            try:
                await asyncio.wait_for(self.drained.wait(), 30)
            except TimeoutError:
                self.result.unanswered += self.flying
        self.drained.set()
        self.result.unsent += len(self.due)
        for client in self.idle:
            client.transport.close()


def _summed(result: Result, load: Load, elapsed: float, acknowledged: int) -> Result:
    result.events = result.posts * load.batch
    result.seconds = elapsed
    result.per_second = acknowledged * load.batch / elapsed
    ordered = sorted(result.latencies)
    if ordered:
        result.p50, result.p99, result.worst = (
            1000 * ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99, 1.0)
        )
    return result


async def drive(load: Load, posts: Iterator[tuple[str, bytes]] | None = None) -> Result:
    """Run a load; `posts` replaces the made-up events by (plant, body) pairs of the caller's, one a post."""
    return await _Run(load, posts or events(load)).go()


def _cpu_of(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--plants", default="oslo", help="names, separated by commas")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.0, help="events a second; 0 is a closed loop")
    parser.add_argument("--batch", type=int, default=1, help="events a post")
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prefix", default=None, help="of the ids; by default one never used before")
    parser.add_argument("--pid", type=int, default=0, help="a process whose CPU is reported, such as the gateway")
    said = parser.parse_args()
    load = Load(
        said.host, said.port, tuple(said.plants.split(",")), said.seconds, said.connections, said.rate, said.batch, said.orders,
        seed=said.seed, prefix=said.prefix or f"b{time.time_ns():x}",
    )  # fmt: skip
    before = _cpu_of(said.pid) if said.pid else 0.0
    result = uvloop.run(drive(load))
    told = {name: value for name, value in asdict(result).items() if name != "latencies"}
    told["driver_us_per_event"] = round(1e6 * result.driver_cpu / max(1, result.events), 1)
    if said.pid:
        told["server_us_per_event"] = round(1e6 * (_cpu_of(said.pid) - before) / max(1, result.events), 1)
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in told.items()}))


if __name__ == "__main__":
    main()

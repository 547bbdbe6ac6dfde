"""The processes of a cluster: gateway, worker and dispatcher on a log in three JetStream servers, which sync the disk before they
acknowledge, and a state in PostgreSQL, between a load driver and a stub ERP.

The raw loop beside it makes the same durable steps with nothing in them, one after the other and nobody else at work: a message published
to three servers, its state committed, its posting claimed.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from benchmarks.figures import Figure
from benchmarks.jetstream import EVENT, Raw
from benchmarks.plant import PLANT, Size, load
from benchmarks.processes import running
from benchmarks.system import CONFIG, loaded, serving, steady
from tests.nats.server import Cluster
from tests.postgres.server import Server

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.stores import Stores

P50: Final = 30.0
P99: Final = 150.0
REPLICAS: Final = 3
STEPS: Final = 300
"""How often the raw loop is run."""

_STORES: Final = """
[log]
address = "{log}"
replicas = 3

[state]
address = "{state}"
"""


def measure(size: Size) -> list[Figure]:
    """Milliseconds from arrival at the gateway to arrival at ERP, at a steady rate."""
    server = Server(durable=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as name,
            Cluster(Path(name) / "nats") as cluster,
            server.fresh() as database,
            running("-m", "benchmarks.erp") as (_, said),
        ):
            config = Path(name) / "synchromesh.toml"
            told = CONFIG.format(plant=PLANT, url=msgspec.json.decode(said)["url"])
            config.write_text(told + _STORES.format(log=cluster.address, state=server.address(database)), "utf-8")
            raw50, raw99 = _raw(cluster.address, server, database, min(STEPS, size.facts))
            p50, p99, note = _measured(config, size)
    finally:
        server.close()
    note = f"{note}; load of the machine {os.getloadavg()[0]:.1f}"
    return [
        Figure("cluster, arrival to ERP p50 at 1,000/s", p50, "ms", P50, raw=raw50, lower=True, note=note),
        Figure("cluster, arrival to ERP p99 at 1,000/s", p99, "ms", P99, raw=raw99, lower=True),
    ]


def _measured(config: Path, size: Size) -> tuple[float, float, str]:
    settings = read_settings(config)
    prepare(settings)
    stores = Stores(settings)
    log = stores.log()
    load(log, size, datetime.now(UTC))
    head = log.head()[PLANT]
    log.close()
    with serving(config) as (system, _):
        loaded(stores.reading(), head)
        return steady(system, stores.reading(), size)


def _raw(nats: str, server: Server, database: str, times: int) -> tuple[float, float]:
    raw = Raw(nats, REPLICAS)
    spans = []
    with psycopg.connect(server.address(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE raw (at bigint PRIMARY KEY, body bytea)")
        for number in range(times):
            started = time.perf_counter()
            raw.publish(bytes(EVENT), 1)
            for step in (0, 1):
                connection.execute("INSERT INTO raw VALUES (%s, %s)", (2 * number + step, bytes(EVENT)))
            spans.append((time.perf_counter() - started) * 1000)
        connection.execute("DROP TABLE raw")
    raw.close()
    spans.sort()
    return spans[times // 2], spans[times * 99 // 100]

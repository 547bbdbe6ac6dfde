"""A business system that is gone while its plant tells at full speed: what is told is kept in the stores, memory does not grow with it,
and nobody else waits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from benchmarks.processes import resident
from tests.app.installation import Installation, Serve, installation, report, until
from tests.connectors.sandbox.process import Running, sandbox

TOLD = 4_000
GROUP = 100
RATE = 1_000
"""Postings a second that the business system takes when it is back."""
GROWTH = 60.0
"""Megabytes by which a process may grow meanwhile: caches that fill up to their bounds, and no backlog of this size (some 2 kB a fact)."""

ORDERS = tuple(f"R-{number}" for number in range(100))

_ROME = """
[[plant]]
id = "rome"
zone = "Europe/Rome"
erp = "slow"

[erp.slow]
connector = "sandbox"
url = "{url}"
[erp.slow.limits]
rate_per_second = {rate}
"""


@pytest.mark.slow
def test_what_waits_for_a_dead_system_takes_no_memory_and_drains_in_order_at_its_rate(tmp_path: Path) -> None:
    books = tmp_path / "slow"
    with sandbox("--data", books) as slow, installation(tmp_path, _ROME.format(url=slow.url, rate=RATE)) as made:
        _release(slow)
        made.release("O-1")
        serve = made.serve()
        _tell(serve, "rome", 0)
        _booked(serve, "oslo", "before")
        until(lambda: _keys(slow) == GROUP, "the first facts")
        weights = {role: resident(pid) for role, pid in serve.roles().items()}
        slow.kill()
        for first in range(GROUP, TOLD, GROUP):
            _tell(serve, "rome", first)
            if first % 1_000 == 0:
                _booked(serve, "oslo", f"meanwhile-{first}")
        until(lambda: serve.look("/v1/summary").get("waiting", 0) > 0 and serve.look("/v1/summary")["facts"] >= TOLD, "all facts in state")
        grown = {role: resident(pid) - weights[role] for role, pid in serve.roles().items()}
        assert all(growth < GROWTH for growth in grown.values()), grown
        _drains(made, serve, slow, books)


def _drains(made: Installation, serve: Serve, slow: Running, books: Path) -> None:
    """The system comes back under its address: everything is booked once, each order in its order, and no faster than it takes."""
    with sandbox("--data", books, "--port", slow.url.rpartition(":")[2]) as back:
        until(lambda: _keys(back) > GROUP, "its first posting")
        _booked(serve, "oslo", "while it drains")
        made.settled(serve, TOLD)
        documents = _documents(back)
    for order in ORDERS:
        amounts = [document["lines"][0]["quantity"]["amount"] for document in documents if document["order"] == order]
        assert amounts == [str(number + 1) for number in range(TOLD) if ORDERS[number % len(ORDERS)] == order]
    assert max(Counter(document["booked"][:19] for document in documents).values()) <= 2 * RATE + GROUP


def _release(erp: Running) -> None:
    erp.admin("items", [{"type": "master.item.changed", "item": "GEAR", "unit": "EA"}])
    erp.admin("locations", [{"type": "sandbox.location", "location": "FG"}])
    quantity = {"amount": "100000000", "unit": "EA"}
    order = {"type": "sandbox.order", "item": "GEAR", "quantity": quantity, "location": "FG"}
    erp.admin("orders", [{**order, "order": each} for each in ORDERS])


def _tell(serve: Serve, plant: str, first: int) -> None:
    group = [report(f"{plant}-{number}", ORDERS[number % len(ORDERS)], str(number + 1)) for number in range(first, first + GROUP)]
    status, told = serve.send(f"/v1/plants/{plant}/events", group)
    assert status == 202, told


def _booked(serve: Serve, plant: str, id: str) -> None:
    """Tell one fact of another plant, and wait until it is booked."""
    status, told = serve.send(f"/v1/plants/{plant}/events", report(id, "O-1"))
    assert status == 202, told
    until(lambda: [each for each in serve.stories(id) if each["fact"]["fate"] == "booked"], f"{id} of {plant}")


def _keys(erp: Running) -> int:
    try:
        count: int = erp.look("/count")["keys"]
    except OSError:
        return 0
    return count


def _documents(erp: Running) -> list[Any]:
    """All documents, in the order of their booking."""
    found: list[Any] = []
    while page := erp.look(f"/documents?after={found[-1]['number'] if found else ''}"):
        found += page
    return found

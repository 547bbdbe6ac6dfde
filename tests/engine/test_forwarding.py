"""What the enterprise partition hands on to plants: once, and without a trace in its own state that its log would not make."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import pytest
from tests.engine.world import PLANT, START

from synchromesh.engine.rebuild import differences, rebuild
from synchromesh.engine.worker import Worker, own_message
from synchromesh.log.agreement import LogFull
from synchromesh.log.memory import MemoryLog
from synchromesh.model import event as ev
from synchromesh.model.instant import micros
from synchromesh.model.message import ENTERPRISE, NATIVE, Message
from synchromesh.state.memory import MemoryStore


class FullOnce(MemoryLog):
    """Has no room for what a plant is told, once."""

    refused = False

    def append(self, messages: Sequence[Message]) -> list[int]:
        if not self.refused and any(message.partition == PLANT for message in messages):
            self.refused = True
            raise LogFull("no room")
        return super().append(messages)


def forwarding(log: MemoryLog) -> tuple[MemoryStore, Worker]:
    """ERP's item has come to the enterprise and was handed on to the plant, whatever the log said meanwhile."""
    store = MemoryStore()
    content = msgspec.json.encode([PLANT]).decode()
    plants = ev.Activated("plants", ENTERPRISE, hashlib.sha256(content.encode()).hexdigest(), content)
    item = Message(ENTERPRISE, "erp", "item:GEAR:1", NATIVE, START, msgspec.json.encode(ev.ItemChanged("GEAR", "EA")), occurred=START)
    log.append([own_message(ENTERPRISE, "plants", plants, START), item])
    worker = Worker(log, store.state(), [ENTERPRISE, PLANT], "worker", now=lambda: START)
    for _ in range(4):
        with suppress(LogFull):
            worker.step()
    return store, worker


@pytest.mark.parametrize("kind", [MemoryLog, FullOnce])
def test_what_erp_tells_reaches_the_plant_once(kind: type[MemoryLog]) -> None:
    log = kind()
    store, _ = forwarding(log)
    assert log.head() == {ENTERPRISE: 2, PLANT: 1}
    assert list(store.state().load(PLANT, "item", ["GEAR"])) == ["GEAR"]
    assert store.state().forwards([ENTERPRISE, PLANT], 10) == []


def test_handing_on_leaves_the_partition_as_its_log_makes_it() -> None:
    log = MemoryLog()
    store, worker = forwarding(log)
    kept = list(store.state().rows(ENTERPRISE))
    rebuilt = MemoryStore().state()
    history = log.read({ENTERPRISE: 0}, 100)[ENTERPRISE]
    assert rebuild(ENTERPRISE, history, worker.positions[ENTERPRISE], rebuilt) == 2
    assert list(differences(ENTERPRISE, iter(kept), rebuilt.rows(ENTERPRISE))) == []
    (position,) = [value for table, _, value in kept if table == "position"]
    assert msgspec.msgpack.decode(position) == [2, micros(START)]


def test_what_a_business_system_tells_is_for_the_plants_that_it_books_for() -> None:
    log, store = MemoryLog(), MemoryStore()
    plants = ev.Activated("plants", ENTERPRISE, "d", '{"bergen":"sap","graz":"dynamics","oslo":"sap"}')
    gear, bar = (msgspec.json.encode(ev.ItemChanged(name, "EA")) for name in ("GEAR", "BAR"))
    told = [
        Message(ENTERPRISE, "erp/sap", "item:GEAR:1", NATIVE, START, gear, occurred=START),
        Message(ENTERPRISE, "plm", "BAR", NATIVE, START, bar, occurred=START),
    ]
    log.append([own_message(ENTERPRISE, "plants", plants, START), *told])
    worker = Worker(log, store.state(), [ENTERPRISE, "bergen", "graz", "oslo"], "w", now=lambda: START)
    while worker.step():
        pass
    known = {plant: set(store.state().load(plant, "item", ["GEAR", "BAR"])) for plant in ("bergen", "graz", "oslo")}
    assert known == {"bergen": {"GEAR", "BAR"}, "graz": {"BAR"}, "oslo": {"GEAR", "BAR"}}

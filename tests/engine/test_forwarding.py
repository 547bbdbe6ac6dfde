"""What the enterprise partition hands on to plants: once, and without a trace in its own state that its log would not make."""

from __future__ import annotations

import hashlib

import msgspec
from tests.engine.world import PLANT, START

from synchromesh.engine.rebuild import differences, rebuild
from synchromesh.engine.worker import Worker, own_message
from synchromesh.log.memory import MemoryLog
from synchromesh.model import event as ev
from synchromesh.model.message import ENTERPRISE, NATIVE, Message
from synchromesh.plant.fold import micros
from synchromesh.state.memory import MemoryStore


def forwarding() -> tuple[MemoryLog, MemoryStore, Worker]:
    """ERP's item has come to the enterprise and was handed on to the plant."""
    log, store = MemoryLog(), MemoryStore()
    content = msgspec.json.encode([PLANT]).decode()
    plants = ev.Activated("plants", ENTERPRISE, hashlib.sha256(content.encode()).hexdigest(), content)
    item = Message(ENTERPRISE, "erp", "item:GEAR:1", NATIVE, START, msgspec.json.encode(ev.ItemChanged("GEAR", "EA")), occurred=START)
    log.append([own_message(ENTERPRISE, "plants", plants, START), item])
    worker = Worker(log, store.state(), [ENTERPRISE, PLANT], "worker", now=lambda: START)
    while worker.step():
        pass
    return log, store, worker


def test_what_erp_tells_reaches_the_plant_once() -> None:
    log, store, _ = forwarding()
    assert log.head() == {ENTERPRISE: 2, PLANT: 1}
    assert list(store.state().load(PLANT, [("item", "GEAR")])) == [("item", "GEAR")]
    assert store.state().forwards(10) == []


def test_handing_on_leaves_the_partition_as_its_log_makes_it() -> None:
    log, store, worker = forwarding()
    kept = list(store.state().rows(ENTERPRISE))
    rebuilt = MemoryStore().state()
    history = log.read({ENTERPRISE: 0}, 100)[ENTERPRISE]
    assert rebuild(ENTERPRISE, history, worker.positions[ENTERPRISE], rebuilt) == 2
    assert list(differences(ENTERPRISE, iter(kept), rebuilt.rows(ENTERPRISE))) == []
    (position,) = [value for table, _, value in kept if table == "position"]
    assert msgspec.msgpack.decode(position) == [2, micros(START)]

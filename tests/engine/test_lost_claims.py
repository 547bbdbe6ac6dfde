"""Claims that were lost: what may have been sent is asked about, and sent only when it certainly is not booked."""

import asyncio

import msgspec
from tests.engine.world import World, ea

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.model import event as ev
from synchromesh.model.posting import Posting
from synchromesh.state.agreement import Ready
from synchromesh.state.memory import MemoryOutbox


class Forgotten(MemoryOutbox):
    """An outbox whose claims were lost."""

    def take(self, target: str, claimant: str, limit: int, now: int) -> list[Ready]:
        return [msgspec.structs.replace(each, doubtful=True) for each in super().take(target, claimant, limit, now)]


def test_what_was_sent_is_found_and_what_was_not_is_sent_once() -> None:
    world = World(rules=Rules(grade=Grade.ASKABLE))
    world.order("4711")
    world.order("4712")
    for order in ("4711", "4712"):
        world.tell(ev.ProductionReported(order, good=ea(9)))
    world.work()
    sent, _ = (msgspec.json.decode(row.content, type=Posting) for row in world.postings())
    asyncio.run(world.erp.post([sent]))
    world.dispatcher = Dispatcher(
        "erp",
        world.erp,
        Forgotten(world.store),
        world.log,
        "after",
        clock=lambda: world.time.timestamp(),  # noqa: PLW0108 - the time moves
        now=lambda: world.time,
        jitter=lambda: 1.0,
    )
    world.run(60)
    assert [row.state for row in world.postings()] == ["posted", "posted"]
    assert len(world.documents()) == 2
    assert {order: sum(world.booked(order).values()) for order in ("4711", "4712")} == {"4711": 9, "4712": 9}

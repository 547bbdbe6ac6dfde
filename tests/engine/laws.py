"""The laws that hold after every test of a world, whatever the test was about."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import msgspec
from tests.engine.world import PLANT, World

from synchromesh.engine.folding import Folding
from synchromesh.engine.rebuild import NEVER
from synchromesh.log.memory import MemoryLog
from synchromesh.model import tally
from synchromesh.model.message import Record
from synchromesh.model.posting import Posting
from synchromesh.model.quantity import exactly
from synchromesh.plant import causes, paged
from synchromesh.plant.entities import Balance, Cause, Item, Lane, Order
from synchromesh.plant.postings import places_of, units_of
from synchromesh.plant.rows import PostingRow
from synchromesh.plant.stock import SEPARATOR, touched
from synchromesh.plant.view import View
from synchromesh.state.memory import SEGMENT_POSITIONS, MemoryStore

Row = tuple[str, str, bytes]


def check(world: World) -> None:
    """Assert every law on a world that was stepped to its end."""
    fates_sum(world)
    booked_once(world)
    exceptions_counted(world)
    causes_list_what_is_open(world)
    ledgers_agree(world)
    same_in_any_batches(world)


def fates_sum(world: World) -> None:
    """Every fact has exactly one fate: the counters are not negative, sum to the facts, and are what the rows say."""
    totals = world.totals()
    assert all(count >= 0 for count in totals.fates.values()), totals.fates
    assert sum(totals.fates.values()) == totals.facts
    rows = world.facts()
    assert len(rows) == totals.facts
    groups: dict[int, list[PostingRow]] = {}
    for posting in world.postings():
        groups.setdefault(posting.group, []).append(posting)
    assert Counter(world.fate_of(row, groups.get(row.group, [])) for row in rows) == Counter(world.fates())


def booked_once(world: World) -> None:
    """No key is twice in ERP's books."""
    keys = Counter(document.key for document in world.documents() if document.key)
    assert not [key for key, count in keys.items() if count > 1]


def exceptions_counted(world: World) -> None:
    """The total of open exceptions is the number of open exceptions."""
    assert world.totals().exceptions == len(world.exceptions())


def causes_list_what_is_open(world: World) -> None:
    """Every open exception stands once among those of its cause, and a cause knows how many are open."""
    view = View(PLANT, world.store.state())
    by_cause: dict[str, list[str]] = {}
    for row in world.exceptions():
        by_cause.setdefault(causes.name_of(row.category, row.subject), []).append(f"{row.position}/{row.ordinal}")
    for name, ids in by_cause.items():
        listed = paged.read(view, causes.LIST + name)
        assert sorted(id_ for id_ in listed if id_ in ids) == sorted(ids), f"{name}: {listed}"
        cause = view.of(Cause, "cause", name)
        assert cause is not None, name
        assert cause.open == len(ids), name
    kept = {key.removeprefix("cause ") for table, key, _ in rows_of(world.store) if table == "entity" and key.startswith("cause ")}
    assert kept == set(by_cause), "a cause without an open exception is kept"


OPEN = {"waiting", "ready", "accepted", "parked", "in doubt", "rejected", "reversed outside"}


def ledgers_agree(world: World) -> None:
    """At every place the two ledgers differ by what is on its way or stuck, by what others booked and by what shall not be booked."""
    with exactly():
        expected = _on_its_way(world)
        for (kind, name), value in list(world.store.of(PLANT).entities.items()):
            item = name.split(SEPARATOR)[0]
            if kind == "stock" and ("item", item) in world.store.of(PLANT).entities and name.split(SEPARATOR)[1]:
                balance = msgspec.msgpack.decode(value, type=Balance)
                known = msgspec.msgpack.decode(world.store.of(PLANT).entities["item", item], type=Item)
                reported = tally.total(balance.reported, known.unit, units_of(known))
                between = reported - Fraction(balance.booked - balance.opening - balance.outside)
                assert between == expected.get(name, 0) + Fraction(balance.unbooked), name


def _on_its_way(world: World) -> dict[str, Fraction]:
    """By place: what is reported and not decided, and what is decided and not in the books."""
    sums: dict[str, Fraction] = {}
    postings = {row.key: row for row in world.postings()}
    for row in postings.values():
        if row.state in OPEN and not row.successor:
            content = msgspec.json.decode(row.content, type=Posting)
            sign = -1 if content.kind == "reversal" else 1
            if sign < 0:
                content = msgspec.json.decode(postings[content.reverses].content, type=Posting)
            for line in content.lines:
                for where, side in touched(
                    content.kind, line.item, line.location, line.lot, line.status, line.owner, line.to_location, line.to_status
                ):
                    sums[where] = sums.get(where, Fraction(0)) + sign * side * Fraction(line.quantity.amount)
    entities = world.store.of(PLANT).entities
    lanes = [msgspec.msgpack.decode(value, type=Order).lane for (kind, _), value in entities.items() if kind == "order"]
    lanes += [msgspec.msgpack.decode(value, type=Lane) for (kind, _), value in entities.items() if kind == "lane"]
    for lane in lanes:
        for key, total in lane.sums.items():
            item = msgspec.msgpack.decode(entities["item", key.split(SEPARATOR)[1]], type=Item)
            left = tally.total(total.reported, total.unit, units_of(item)) - Fraction(total.decided)
            for where, side in places_of(key):
                sums[where] = sums.get(where, Fraction(0)) + side * left
    return sums


def same_in_any_batches(world: World) -> None:
    """The log alone decides the state, byte for byte, however it is cut into batches and whatever the view has room for."""
    if world.store.segment_positions != SEGMENT_POSITIONS:
        return  # a test of forgetting: a batch's end says how young a segment is, and here each position is a segment
    kept = rows_of(world.store)
    through = world.worker.positions[PLANT]
    for batch, bound in ((1, 1_000), (7, 1), (1_000, 1_000)):
        rebuilt = refold(world.log, through, batch, bound)
        assert rows_of(rebuilt) == kept, f"batches of {batch} with room for {bound}"


def rows_of(store: MemoryStore) -> list[Row]:
    """The rows that a fold alone decides: what is still to be forwarded depends on who has forwarded."""
    return [(str(table), str(key), bytes(value)) for table, key, value in store.state().rows(PLANT) if table not in NEVER]


def refold(log: MemoryLog, through: int, batch: int, bound: int) -> MemoryStore:
    """The state that a log makes in batches of this size."""
    store = MemoryStore()
    state = store.state()
    epochs = state.attend("refold", [PLANT])
    folding = Folding(PLANT, state, _quietly)
    folding.view.bound = bound
    position = 0
    while position < through:
        records = log.read({PLANT: position}, min(batch, through - position))[PLANT]
        changes = folding.fold(records)
        state.commit(epochs, [changes])
        folding.view.committed()
        position = changes.position
    return store


def _quietly(record: Record, error: str) -> None:
    """The log has the quarantine already."""

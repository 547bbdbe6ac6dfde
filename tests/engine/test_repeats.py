"""The same payload told again is the same message, however it is written and by whichever edge it comes."""

import json

import pytest
from tests.engine.world import PLANT, World
from tests.mapping.world import ROOT

from synchromesh.engine.worker import own_message
from synchromesh.mapping.adapter import load_adapter
from synchromesh.model import event as ev
from synchromesh.model.message import Message

ADAPTER = load_adapter(ROOT / "examples" / "4tu" / "adapter")
ROW = {
    "row": "7",
    "Case ID": "Case 901",
    "Activity": "Packing",
    "Complete Timestamp": "1:00.0",
    "Qty Completed": "0",
    "Qty Rejected": "0",
    "Qty for MRB": "0",
    "Rework": "",
}


@pytest.fixture
def world() -> World:
    world = World()
    world.log.append(
        [own_message(PLANT, "adapter", ev.Activated("adapter", ADAPTER.interface, ADAPTER.digest, ADAPTER.content()), world.time)]
    )
    world.order("Case 901", quantity="100")
    return world


def tell(world: World, body: bytes) -> str:
    position = world.log.append([Message(PLANT, ADAPTER.source, "7", ADAPTER.interface, world.time, body)])[0]
    world.step()
    return world.fate(position)


@pytest.mark.parametrize(
    ("changes", "fate"),
    [({"Report Type": "D", "Qty Completed": "4"}, "booked"), ({"Report Type": "B"}, "recorded"), ({"Report Type": "X"}, "exception")],
)
def test_a_row_from_a_file_and_the_same_over_http_are_one(world: World, changes: dict[str, str], fate: str) -> None:
    row = ROW | changes
    assert tell(world, json.dumps({**row, "_line": 7, "_file": "a.csv"}, separators=(",", ":")).encode()) == fate
    assert tell(world, json.dumps(dict(reversed(row.items())), indent=2).encode()) == "duplicate"
    assert tell(world, json.dumps({**row, "_line": 1, "_file": "b.csv"}).encode()) == "duplicate"
    assert tell(world, json.dumps({**row, "Qty Completed": "5"}).encode()) == "exception"


def test_bytes_that_are_no_payload_are_compared_as_they_are(world: World) -> None:
    for body, fate in (
        (b"row 7 can't be read", "exception"),
        (b"row 7 can't be read", "duplicate"),
        (b'{"row": 1e999999999}', "exception"),
    ):
        assert tell(world, body) == fate

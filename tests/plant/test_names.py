"""Names are foreign text."""

from __future__ import annotations

from tests.engine.world import World, ea

from synchromesh.model import event as ev


def test_a_name_with_the_separator_of_keys_is_an_exception_and_moves_nothing() -> None:
    world = World()
    world.order()
    at = world.tell(ev.ProductionReported("4711", good=ea(5), lot="L\x1f1"))
    world.step()
    assert world.fact(at).fate == "exception"
    assert "U+001F" in world.exceptions()[0].sentence
    assert not world.documents()

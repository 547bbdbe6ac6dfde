"""Every test of the engine ends with the laws: what they do not allow fails the test, whatever it was about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine import laws
from tests.engine.world import World


@pytest.fixture(autouse=True)
def _laws() -> Iterator[None]:
    World.made.clear()
    yield
    for world in World.made:
        laws.check(world)
    World.made.clear()

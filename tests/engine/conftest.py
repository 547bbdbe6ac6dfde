"""Every test of the engine ends with the laws: what they do not allow fails the test, whatever it was about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine import laws
from tests.engine.stores import Readings, readings_of
from tests.engine.world import World


@pytest.fixture(autouse=True)
def _laws() -> Iterator[None]:
    World.made.clear()
    yield
    for world in World.made:
        laws.check(world)
    World.made.clear()


@pytest.fixture(params=["memory", "sqlite"])
def readings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Readings]:
    """Gives a reading of a world, of either kind of store."""
    yield from readings_of(request.param, tmp_path)

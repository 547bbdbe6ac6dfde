"""A few runs of the soak: what breaks between the dispatcher and a real Tryton loses nothing and books nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.connectors.tryton.soak import Strike, soak

pytestmark = [pytest.mark.tryton, pytest.mark.slow]


@pytest.mark.parametrize(
    ("module", "strikes"),
    [
        (True, [Strike.KILLED_AFTER, Strike.ERP_KILLED]),
        (False, [Strike.LATE, Strike.ASLEEP, Strike.KILLED_BEFORE]),
    ],
    ids=["unique", "askable"],
)
def test_nothing_is_lost_and_nothing_booked_twice(tmp_path: Path, module: bool, strikes: list[Strike]) -> None:
    outcome = soak(tmp_path, module, strikes, seed=7)
    assert outcome.wrong == []
    assert outcome.postings == 3 * len(strikes)

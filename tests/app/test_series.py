"""A start makes a new series for the keys of a plant's postings where keys may have been used that the log does not know; only there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tests.app.test_faults import LEAST

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine.activation import in_force
from synchromesh.engine.worker import Worker
from synchromesh.plant.policy import Policy

PLANT = "oslo"


class Installation:
    """One data folder, whose processes do their work when they are told to."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._config = folder / "synchromesh.toml"
        self._config.write_text(LEAST, "utf-8")

    @property
    def settings(self) -> Settings:
        return read_settings(self._config)

    def configure(self, policy: str) -> None:
        self._config.write_text(LEAST.replace("[erp.main]", f"[plant.policy]\n{policy}\n[erp.main]"), "utf-8")

    def fold(self) -> None:
        stores = Stores(self.settings)
        log, state = stores.log(), stores.state()
        worker = Worker(log, state, [PLANT], "worker", now=lambda: datetime.now(UTC))
        while worker.step():
            pass
        state.close()
        log.close()

    def take_over(self) -> None:
        stores = Stores(self.settings)
        log, outbox = stores.log(), stores.outbox()
        outbox.take_over("main", "dispatcher", log.head(), 9)
        outbox.close()
        log.close()

    def start(self) -> str:
        """A whole start; the series that is in force after it."""
        prepare(self.settings)
        self.fold()
        self.take_over()
        return self.series()

    def series(self) -> str:
        reading = Stores(self.settings).reading()
        decision = in_force(reading, PLANT, "policy", PLANT)
        reading.close()
        assert decision is not None, "every start activates a policy"
        return msgspec.json.decode(decision.content, type=Policy).series

    def lose(self, pattern: str) -> None:
        for file in self.data.glob(pattern):
            file.unlink()


@pytest.fixture
def plant(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_a_start_keeps_the_series_also_under_another_policy(plant: Installation) -> None:
    first = plant.start()
    assert len(first) == 8
    plant.configure("waiting_hours = 1")
    assert [plant.start(), plant.start()] == [first, first]


def test_a_state_that_is_made_again_from_the_log_has_the_series_of_its_log_until_the_start_makes_a_new_one(plant: Installation) -> None:
    first = plant.start()
    plant.lose("state.*")
    Stores(plant.settings).state().close()
    plant.fold()
    assert plant.series() == first
    assert plant.start() != first


def test_lost_claims_make_a_new_series_and_the_next_start_keeps_it(plant: Installation) -> None:
    first = plant.start()
    plant.lose("state.claims*")
    second = plant.start()
    assert first != second
    assert plant.start() == second


def test_a_start_that_ends_before_the_new_series_is_folded_brings_no_old_one_back(plant: Installation) -> None:
    """Also not when the configuration is another one by then, so that the policy is activated again."""
    first = plant.start()
    plant.lose("state.claims*")
    prepare(plant.settings)
    plant.take_over()
    plant.configure("waiting_hours = 1")
    second = plant.start()
    assert first != second
    assert plant.start() == second

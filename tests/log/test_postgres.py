"""The log on PostgreSQL keeps the contract among openings, threads and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contracts.log import SharedLogContract

from synchromesh.log.agreement import Log, Place
from synchromesh.log.postgres import open_log
from synchromesh.log.postgres.log import PostgresLog


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> Place:
    return Place(postgres, tmp_path, tmp_path / "archive")


class TestPostgresLog(SharedLogContract):
    @pytest.fixture
    def log(self, place: Place) -> Iterator[PostgresLog]:
        log = open_log(place)
        yield log
        log.close()

    @pytest.fixture
    def again(self, place: Place) -> Iterator[Callable[[], Log]]:
        opened: list[PostgresLog] = []

        def open_again() -> Log:
            opened.append(open_log(place))
            return opened[-1]

        yield open_again
        for log in opened:
            log.close()

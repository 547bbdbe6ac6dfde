"""The state on PostgreSQL keeps the contract, with one segment of identities and with many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contracts.state import Openings, StateContract
from tests.state.openings import postgres_openings


class TestPostgresState(StateContract):
    @pytest.fixture
    def open(self, postgres: str) -> Iterator[Openings]:
        with postgres_openings(postgres) as openings:
            yield openings


class TestPostgresStateInManySegments(StateContract):
    """Every position its own segment."""

    @pytest.fixture
    def open(self, postgres: str) -> Iterator[Openings]:
        with postgres_openings(postgres, 1) as openings:
            yield openings

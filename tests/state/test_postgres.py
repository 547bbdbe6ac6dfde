"""The state on PostgreSQL keeps the contract, with one segment of identities and with many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from tests.contracts.state import Openings, StateContract

from synchromesh.postgres.database import database
from synchromesh.state.memory import SEGMENT_POSITIONS
from synchromesh.state.postgres.outbox import PostgresOutbox
from synchromesh.state.postgres.reading import PostgresReading
from synchromesh.state.postgres.store import PostgresState


class OldState(PostgresState):
    def lease(self, owner):
        with self._session.transaction("x") as c:
            c.execute(
                "INSERT INTO synchromesh.lease VALUES ('all','*',1,%s,'infinity') ON CONFLICT (kind,name) DO UPDATE SET epoch=lease.epoch+1, owner=excluded.owner",
                (owner,),
            )
            e = c.execute("SELECT epoch FROM synchromesh.lease WHERE kind='all'").fetchone()[0]
            c.execute("UPDATE synchromesh.lease SET epoch=%s, owner=%s WHERE kind='worker'", (e, owner))
        self._stands.clear()
        return e

    def commit(self, epoch, batch):
        with self._session.transaction("x") as c:
            for each in batch:
                c.execute(
                    "INSERT INTO synchromesh.lease SELECT 'worker',%s,epoch,owner,'infinity' FROM synchromesh.lease WHERE kind='all' ON CONFLICT DO NOTHING",
                    (each.partition.replace("\0", "\1\1"),),
                )
        super().commit({each.partition: epoch for each in batch}, batch)

    def forwards(self, limit):
        return super().forwards(["a", "b"], limit)


class OldOutbox(PostgresOutbox):
    def begin(self, target, claimant):
        with self._session.transaction("x") as c:
            c.execute(
                "INSERT INTO synchromesh.lease VALUES ('dispatcher',%s,1,%s,'infinity') ON CONFLICT (kind,name) DO UPDATE SET epoch=lease.epoch+1, owner=excluded.owner",
                (
                    target,
                    claimant,
                ),
            )


@contextmanager
def postgres_openings(address: str, span: int = SEGMENT_POSITIONS) -> Iterator[Openings]:
    where = database(address)
    with ExitStack() as stack:

        def opening(make):
            return lambda: stack.enter_context(closing(make()))

        yield Openings(
            opening(lambda: OldState(where, "plant", span)), opening(lambda: OldOutbox(where)), opening(lambda: PostgresReading(where))
        )


class TestPostgresState(StateContract):
    @pytest.fixture
    def open(self, postgres: str) -> Iterator[Openings]:
        with postgres_openings(postgres) as openings:
            yield openings


class TestPostgresStateInManySegments(StateContract):
    @pytest.fixture
    def open(self, postgres: str) -> Iterator[Openings]:
        with postgres_openings(postgres, 1) as openings:
            yield openings

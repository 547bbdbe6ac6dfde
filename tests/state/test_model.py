"""Whatever is done in whatever order, memory, SQLite and PostgreSQL answer alike and hold the same rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.contracts.state import Openings, exception, fact, forward, posting
from tests.postgres.server import Server
from tests.state.openings import postgres_openings, sqlite_openings

from synchromesh.plant.rows import Changes, PostingId
from synchromesh.state.agreement import Fenced, Outbox, Reading, Ready, State
from synchromesh.state.memory import MemoryStore

SPAN = 7
PARTITIONS = st.sampled_from(["a", "b"])
NAMES = st.sampled_from([("order", "1"), ("order", "2"), ("stock", "1")])
IDENTITIES = st.sampled_from([(source, str(number)) for source in ("mes", "wms") for number in range(8)])


class Stores(RuleBasedStateMachine):
    """Two stores side by side: each step is done on both, and what they say is compared."""

    @staticmethod
    @contextmanager
    def other() -> Iterator[Openings]:
        """A new store beside the one in memory."""
        with tempfile.TemporaryDirectory() as directory, sqlite_openings(Path(directory), SPAN) as openings:
            yield openings

    @initialize()
    def begin(self) -> None:
        self._stack = ExitStack()
        memory = MemoryStore(segment_positions=SPAN)
        both = [
            Openings(memory.state, memory.outbox, memory.reading),
            self._stack.enter_context(self.other()),
        ]
        self._openings = both
        self.states: list[State] = [each.state() for each in both]
        self.outboxes: list[Outbox] = [each.outbox() for each in both]
        self.readings: list[Reading] = [each.reading() for each in both]
        self.position = {"a": 1, "b": 1}
        self.pending = {"a": 0, "b": 0}
        self.sent: set[PostingId] = set()
        self.now = 0
        self.epochs: list[dict[str, int]] = [{}, {}]
        self.older: list[dict[str, int]] = []
        self.lease()
        for state, epochs in zip(self.states, self.epochs, strict=True):
            state.commit(epochs, [Changes(partition, 1) for partition in self.position])
        # From here on both know who claimed what: a lost file of claims is not a matter of the agreement.
        self._same([outbox.take_over("erp", "first", self.position, 1) for outbox in self.outboxes])

    @rule()
    def lease(self) -> None:
        for state in self.states:
            state.leave("w")
        self.older = self.epochs
        self.epochs = [state.attend("w", list(self.position)) for state in self.states]
        assert all(new[name] > old.get(name, 0) for new, old in zip(self.epochs, self.older, strict=True) for name in new)

    @rule(
        partition=PARTITIONS,
        count=st.integers(1, 3),
        entities=st.dictionaries(NAMES, st.none() | st.binary(max_size=5)),
        identities=st.lists(IDENTITIES, max_size=4),
        ask=st.booleans(),
        horizon=st.integers(0, 12),
        forwards=st.integers(0, 2),
        forgotten=st.integers(0, 2),
        system=st.sampled_from(["erp", "mes"]),
    )
    def commit(
        self,
        partition: str,
        count: int,
        entities: dict[tuple[str, str], bytes | None],
        identities: list[tuple[str, str]],
        ask: bool,
        horizon: int,
        forwards: int,
        forgotten: int,
        system: str,
    ) -> None:
        self.now += 1
        first = self.position[partition] + 1
        last = self.position[partition] = first + count - 1
        forgotten = min(forgotten, self.pending[partition])
        self.pending[partition] += forwards - forgotten
        changes = Changes(
            partition,
            last,
            entities=entities,
            facts={position: fact(position, self.now) for position in range(first, last + 1)},
            identities={identity: first + index % count for index, identity in enumerate(identities)},
            postings={(first, ordinal): posting(first, ordinal) for ordinal in range(count)},
            outbox_added={(first, ordinal): (system, "lane") for ordinal in range(count)},
            documents={f"doc-{last % 3}": (first, 0)},
            exceptions={(last, 0): exception(last, opened=self.now)},
            forwards=[forward(f"{last}-{index}") for index in range(forwards)],
            forwarded=forgotten,
            now=self.now,
            forget_identities_before=max(0, self.now - horizon) if horizon > 6 else 0,
        )
        if ask:
            self._same([state.known(partition, identities) for state in self.states])
        for state, epochs in zip(self.states, self.epochs, strict=True):
            state.commit(epochs, [changes])

    @rule(partition=PARTITIONS)
    def an_old_epoch_writes_nothing(self, partition: str) -> None:
        for state, epochs in zip(self.states, self.older, strict=True):
            try:
                state.commit(epochs, [Changes(partition, 999, entities={("order", "1"): b"fenced"})])
            except Fenced:
                continue
            raise AssertionError("an old epoch wrote")

    @rule(system=st.sampled_from(["erp", "mes"]), claimant=st.sampled_from(["d", "e"]), limit=st.integers(1, 5))
    def take(self, system: str, claimant: str, limit: int) -> None:
        self._same([outbox.take(system, claimant, limit, self.now) for outbox in self.outboxes])

    @rule(
        system=st.sampled_from(["erp", "mes"]),
        finish=st.booleans(),
        heads=st.dictionaries(PARTITIONS, st.sampled_from([-1, 0, 0, 1])),
        limit=st.integers(1, 5),
    )
    def take_over(self, system: str, finish: bool, heads: dict[str, int], limit: int) -> None:
        behind = {partition: self.position[partition] + ahead for partition, ahead in heads.items()}
        found = [outbox.take_over(system, "f", behind, limit) for outbox in self.outboxes]
        self._same(found)
        for each in found[0].entries[:2]:
            if finish:
                self._finish(each)
            else:
                for outbox in self.outboxes:
                    outbox.release([(each.partition, each.position, each.ordinal)])

    def _finish(self, each: Ready) -> None:
        changes = Changes(each.partition, self.position[each.partition], outbox_removed={(each.position, each.ordinal)}, now=self.now)
        for state, epochs in zip(self.states, self.epochs, strict=True):
            state.commit(epochs, [changes])

    @rule()
    def restart(self) -> None:
        self.states = [each.state() for each in self._openings]
        self.outboxes = [each.outbox() for each in self._openings]
        self.readings = [each.reading() for each in self._openings]

    @rule(partition=PARTITIONS, identities=st.lists(IDENTITIES, max_size=6))
    def ask(self, partition: str, identities: list[tuple[str, str]]) -> None:
        self._same([state.known(partition, identities) for state in self.states])
        for source, id in identities:
            self._same([reading.identity(partition, source, id) for reading in self.readings])
            self._same([reading.find_identity(id) for reading in self.readings])
        self._same([reading.recent(4) for reading in self.readings])
        self._same([reading.document("doc-1") for reading in self.readings])
        self._same([reading.exceptions("open", 3) for reading in self.readings])
        self._same([reading.waiting() for reading in self.readings])
        self._same([state.forwards(list(self.position), 5) for state in self.states])

    @invariant()
    def rows_are_equal(self) -> None:
        for partition in ("a", "b"):
            self._same([list(state.rows(partition)) for state in self.states])

    @staticmethod
    def _same(answers: list[object]) -> None:
        assert answers[0] == answers[1]

    def teardown(self) -> None:
        self._stack.close()


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.slow
def test_stores_on_postgresql(postgres_server: Server) -> None:
    class OnPostgres(Stores):
        @staticmethod
        @contextmanager
        def other() -> Iterator[Openings]:
            with postgres_server.fresh() as name, postgres_openings(postgres_server.address(name), SPAN) as openings:
                yield openings

    run_state_machine_as_test(OnPostgres, settings=settings(TestStores.settings, max_examples=6))

"""The state on PostgreSQL keeps the contract, and what many machines that use one database need beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.contracts.state import PATIENCE, Openings, P, StateContract, exception, forward, lease, posting, ready
from tests.postgres.pooler import pooling
from tests.postgres.server import Server
from tests.postgres.test_rights import _statements
from tests.state.openings import postgres_openings

from synchromesh.plant.rows import Changes
from synchromesh.postgres import arrays
from synchromesh.postgres.connections import Connection, connect
from synchromesh.postgres.database import database
from synchromesh.state.agreement import Fenced, Ready, StateCorrupt, StateError
from synchromesh.state.postgres import words
from synchromesh.state.postgres.outbox import PostgresOutbox
from synchromesh.state.postgres.reading import PostgresReading
from synchromesh.state.postgres.session import KINDS, Session
from synchromesh.state.postgres.store import PostgresState
from synchromesh.state.postgres.words import kept, told

T = TypeVar("T")


def _until(look: Callable[[], T]) -> T:
    """The first answer that holds something."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline
        pause.wait(0.02)
    return found


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


def _stores(address: str, number: int = 2, seconds: float = 3.0) -> list[PostgresState]:
    return [PostgresState(database(address), "plant", lease_seconds=seconds) for _ in range(number)]


# --- foreign text -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(st.sampled_from("\0\1\2\3a\u00e9\U0001f600")), max_size=8))
@example(["\0", "\1", "\0\1", "\1\1", "\1\2", "\2"])
def test_every_text_has_one_stored_form_and_all_keep_their_order(texts: list[str]) -> None:
    stored = [kept(each) for each in texts]
    assert [told(each) for each in stored] == texts
    assert "\0" not in "".join(stored)
    assert [told(each) for each in sorted(stored)] == sorted(texts)
    assert bytes(words.texts(texts)) == bytes(arrays.texts(stored))


def test_text_that_no_database_can_hold_is_kept_wherever_it_stands(postgres: str) -> None:
    """A zero and its neighbours, in every text of every row, are told again as they were, and in the order of SQLite."""
    names = ["\0", "\0\0", "\0\1", "\1", "\1\1", "\1\2", "a", "a\0", "a\1", "a\2", "é"]
    [state] = _stores(postgres, 1)
    outbox, reading = PostgresOutbox(database(postgres)), PostgresReading(database(postgres))
    epochs = state.attend("w\0", names)
    for position, name in enumerate(names, 1):
        row = exception(position)
        row.category, row.subject, row.order = name, name, name
        changes = Changes(
            name,
            position,
            entities={(name, each): each.encode() for each in names},
            identities={(name, name): position},
            postings={(position, 0): posting(position)},
            outbox_added={(position, 0): (name, name)},
            documents={name: (position, 0)},
            exceptions={(position, 0): row},
            forwards=[forward(name)],
        )
        state.commit(epochs, [changes])
        assert reading.entities_of(name, name, "", 99) == [(each, each.encode()) for each in names]
        assert state.load(name, name, names) == {each: each.encode() for each in names}
        assert state.known(name, [(name, name)]) == {(name, name): position}
        assert (reading.identity(name, name, name), reading.find_identity(name)) == (position, [(name, position)])
        assert [(each, found.position) for each, found in reading.document(name)] == [(name, position)]
        assert [(cause.partition, cause.subject) for cause in reading.causes() if cause.category == name] == [(name, name)]
        assert reading.of_cause(name, name, name, (0, 0), 9) == [row]
        outbox.attend("d\0", [name])
        [ready] = outbox.take(name, "d\0", 9, 1)
        assert (ready.partition, ready.target, ready.lane) == (name, name, name)
        outbox.release([(name, position, 0)])
        assert len(outbox.take(name, "d\0", 9, 1)) == 1
        outbox.tell(name, name)
        assert [each for each, _ in state.forwards([name], 9)] == [name]
    assert reading.troubles() == {name: name for name in names}
    assert outbox.known() == set(names)
    assert state.positions() == {name: position for position, name in enumerate(names, 1)}
    for each in (state, outbox, reading):
        each.close()


# --- many owners --------------------------------------------------------------------------------------------------------------


def test_owners_share_alike_and_partitions_move_when_they_come_and_go(postgres: str) -> None:
    names = [f"plant-{number}" for number in range(7)]
    first, second, third = _stores(postgres, 3, 60)
    alone = first.attend("first", names)
    assert sorted(alone) == names
    assert second.attend("second", names) == {}, "nothing is free yet"
    mine = first.attend("first", names)
    assert (len(mine), mine.items() <= alone.items()) == (4, True), "what stays keeps its epoch"
    others = second.attend("second", names)
    assert sorted([*mine, *others]) == names
    assert all(others[name] > alone[name] for name in others)
    with pytest.raises(Fenced):
        first.commit(alone, [Changes(name, 1) for name in others])
    third.attend("third", names)
    shares = [store.attend(owner, names) for _ in range(2) for store, owner in ((first, "first"), (second, "second"), (third, "third"))][3:]
    assert sorted(name for share in shares for name in share) == names
    assert sorted(map(len, shares)) == [1, 3, 3]
    third.leave("third")
    shares = [first.attend("first", names), second.attend("second", names)]
    assert sorted(name for share in shares for name in share) == names
    for store in (first, second, third):
        store.close()


def _be_over(address: str, table: str, owner: str) -> None:
    """Let the time of an owner be over."""
    with connect(database(address), KINDS) as connection:
        for each in (table, "member"):
            connection.execute(f"UPDATE synchromesh.{each} SET until = now() - interval '1 second' WHERE owner = %s".encode(), (owner,))


def test_what_a_dead_owner_had_is_taken_when_its_time_is_over_and_it_writes_nothing_after(postgres: str) -> None:
    dead, heir = _stores(postgres, 2, 60)
    old = dead.attend("dead", ["a", "b"])
    assert heir.attend("heir", ["a", "b"]) == {}
    _be_over(postgres, "lease", "dead")
    taken = heir.attend("heir", ["a", "b"])
    assert sorted(taken) == ["a", "b"]
    with pytest.raises(Fenced, match="heir has taken over"):
        dead.commit(old, [Changes("a", 1)])
    heir.commit(taken, [Changes("a", 1), Changes("b", 1)])
    dead.close()
    heir.close()


def test_who_comes_back_knows_what_others_wrote_meanwhile_without_asking(postgres: str) -> None:
    first, second = (PostgresState(database(postgres), "plant", 1) for _ in range(2))
    epochs = first.attend("first", [P])
    first.commit(epochs, [Changes(P, 1, identities={("mes", "1"): 1})])
    first.leave("first")
    epochs = second.attend("second", [P])
    second.commit(epochs, [Changes(P, 2, identities={("mes", "2"): 2})])
    second.leave("second")
    epochs = first.attend("first", [P])
    first.commit(epochs, [Changes(P, 3, identities={("mes", "2"): 3})])
    assert [key for table, key, _ in first.rows(P) if table == "identity"] == ["mes 1", "mes 2"]
    assert second.known(P, [("mes", "1"), ("mes", "2")]) == {("mes", "1"): 1, ("mes", "2"): 3}
    first.close()
    second.close()


def test_one_whose_time_is_over_goes_on_where_nobody_has_taken_over(postgres: str) -> None:
    [state] = _stores(postgres, 1, 0.01)
    epochs = state.attend("w", ["a"])
    for position in range(1, 4):
        state.commit(epochs, [Changes("a", position)])
    assert state.attend("w", ["a"]) == epochs
    state.close()


def test_no_takeover_comes_between_the_look_at_the_epoch_and_the_commit(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heir waits until the batch that was let through is committed, or takes what nobody holds; never both write the same."""
    writer, heir = _stores(postgres, 2, 0.05)
    epochs = writer.attend("writer", ["a"])
    checked, go = threading.Event(), threading.Event()
    check = PostgresState._check

    def slow(self: PostgresState, *values: Any) -> None:
        check(self, *values)
        if self is writer:
            checked.set()
            assert go.wait(PATIENCE)

    monkeypatch.setattr(PostgresState, "_check", slow)
    with ThreadPoolExecutor(2) as threads:
        commit = threads.submit(writer.commit, epochs, [Changes("a", 1)])
        assert checked.wait(PATIENCE)
        for _ in range(5):
            assert heir.attend("heir", ["a"]) == {}, "it is held by the commit, though its time is over"
        go.set()
        commit.result(PATIENCE)
    taken = _until(lambda: heir.attend("heir", ["a"]))
    assert heir.positions() == {"a": 1}
    heir.commit(taken, [Changes("a", 2)])
    writer.close()
    heir.close()


def test_workers_of_other_partitions_do_not_wait_for_each_other(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = _stores(postgres, 2, 60)
    one.attend("one", ["a", "b"])
    other.attend("other", ["a", "b"])
    mine, others = one.attend("one", ["a", "b"]), other.attend("other", ["a", "b"])
    inside, go = threading.Event(), threading.Event()
    check = PostgresState._check

    def slow(self: PostgresState, *values: Any) -> None:
        check(self, *values)
        if self is one:
            inside.set()
            assert go.wait(PATIENCE)

    monkeypatch.setattr(PostgresState, "_check", slow)
    with ThreadPoolExecutor(1) as threads:
        commit = threads.submit(one.commit, mine, [Changes(name, 1) for name in mine])
        assert inside.wait(PATIENCE)
        other.commit(others, [Changes(name, 1) for name in others])
        go.set()
        commit.result(PATIENCE)
    assert other.positions() == {"a": 1, "b": 1}
    one.close()
    other.close()


# --- claims -------------------------------------------------------------------------------------------------------------------


def test_targets_are_shared_and_a_dead_dispatcher_is_followed(postgres: str) -> None:
    [state] = _stores(postgres, 1)
    state.commit(lease(state), [ready(3, (1, 0), (2, 0), (3, 0))])
    dead, heir = (PostgresOutbox(database(postgres), 60) for _ in range(2))
    assert dead.attend("dead", ["erp"]) == {"erp"}
    assert [each.position for each in dead.take("erp", "dead", 1, 1)] == [1]
    assert heir.attend("heir", ["erp"]) == set()
    with pytest.raises(Fenced):
        heir.take("erp", "heir", 9, 1)
    _be_over(postgres, "sender", "dead")
    assert heir.attend("heir", ["erp"]) == {"erp"}
    assert not dead.sends("erp", "dead")
    with pytest.raises(Fenced):
        dead.take("erp", "dead", 9, 1)
    assert [each.position for each in heir.take_over("erp", "heir", {P: 3}, 9).entries] == [1]
    assert [each.position for each in heir.take("erp", "heir", 9, 1)] == [2, 3]
    for each in (state, dead, heir):
        each.close()


def test_in_a_database_that_was_put_back_nothing_is_sent_again_unasked(postgres: str) -> None:
    """It names another server, or another branch of its server's history, than the one in which claims were made."""
    [state] = _stores(postgres, 1)
    epochs = lease(state)
    state.commit(epochs, [Changes(P, 1), Changes("other", 1)])
    before = PostgresOutbox(database(postgres))
    before.take_over("erp", "d", {P: 1, "other": 1}, 9)
    state.commit(epochs, [ready(3, (1, 0), (2, 0)), ready(2, (1, 0), partition="other")])
    assert [each.position for each in before.take("erp", "d", 1, 1)] == [1]
    with connect(database(postgres), KINDS) as connection:
        connection.execute("UPDATE synchromesh.history SET told = 'another'")
    before._session.close()
    with pytest.raises(Fenced, match="was put back or has failed over"):
        before.take("erp", "d", 9, 1)
    after = PostgresOutbox(database(postgres))
    assert after.known() == set()
    assert after.take("erp", "e", 9, 1) == []
    assert after.take_over("erp", "e", {P: 5, "other": 2}, 9).partitions == ["other"], "the log knows more of the first"
    assert after.take("erp", "e", 9, 1) == []
    state.commit(epochs, [ready(5, (4, 0), (5, 0))])
    taken = after.take_over("erp", "e", {P: 5}, 9)
    assert ([each.position for each in taken.entries], taken.partitions) == ([1, 2, 4, 5], [P])
    state.commit(epochs, [ready(6, (6, 0))])
    assert [each.position for each in after.take("erp", "e", 9, 1)] == [6]
    assert after.known() == {P, "other"}
    for each in (state, before, after):
        each.close()


def test_a_copy_of_the_database_is_another_one(postgres_server: Server, postgres: str) -> None:
    [state] = _stores(postgres, 1)
    state.commit(lease(state), [ready(1, (1, 0))])
    first = PostgresOutbox(database(postgres))
    first.take_over("erp", "d", {P: 1}, 9)
    first.close()
    state.close()
    name = postgres.rsplit("/", 1)[1]
    postgres_server.run(f"CREATE DATABASE copy_of_{name} TEMPLATE {name}")
    copy = PostgresOutbox(database(postgres_server.address(f"copy_of_{name}")))
    assert copy.known() == set()
    assert copy.take("erp", "d", 9, 1) == []
    assert [each.position for each in copy.take_over("erp", "e", {P: 1}, 9).entries] == [1]
    copy.close()
    postgres_server.run(f"DROP DATABASE copy_of_{name}")


def test_what_a_worker_takes_back_while_it_is_being_claimed_is_not_sent(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [state] = _stores(postgres, 1)
    epochs = lease(state)
    state.commit(epochs, [ready(3, (1, 0), (2, 0))])
    dispatcher = PostgresOutbox(database(postgres))
    claim = PostgresOutbox._claim

    def late(self: PostgresOutbox, *values: Any) -> list[Ready]:
        monkeypatch.setattr(PostgresOutbox, "_claim", claim)
        state.commit(epochs, [Changes(P, 4, outbox_removed={(1, 0)})])
        return claim(self, *values)

    monkeypatch.setattr(PostgresOutbox, "_claim", late)
    assert [each.position for each in dispatcher.take("erp", "d", 9, 1)] == [2]
    dispatcher.close()
    state.close()


def test_an_outbox_entry_without_its_posting_is_damage_and_not_passed_over(postgres: str) -> None:
    [state] = _stores(postgres, 1)
    state.commit(lease(state), [Changes(P, 1, outbox_added={(1, 0): ("erp", "lane")})])
    dispatcher = PostgresOutbox(database(postgres))
    for _ in range(2):
        with pytest.raises(StateCorrupt, match=r"plant-1: the outbox names posting 1\.0, which is not there"):
            dispatcher.take("erp", "d", 9, 1)
    dispatcher.close()
    state.close()


# --- rights and poolers -------------------------------------------------------------------------------------------------------


def test_a_role_that_may_only_read_and_write_rows_is_enough(postgres_server: Server, postgres: str) -> None:
    """Those of docs/how-to/postgres.md: the owner makes the tables; for the other one it also makes and drops those of identities."""
    name = postgres.rsplit("/", 1)[1]
    owner, worker = (
        database(postgres_server.address(name, role, password))
        for role, password in (("synchromesh_owner", "change%20me"), ("synchromesh", "change%20me%20too"))
    )
    for statement in _statements():
        postgres_server.run(statement, name=name)
    try:
        with pytest.raises(StateError, match=r"permission denied .*postgres\.md"):
            PostgresState(worker, "plant")
        PostgresState(owner, "plant").close()
        state = PostgresState(worker, "plant", 1)
        epochs = lease(state)
        state.commit(epochs, [Changes(P, 1, identities={("mes", "1"): 1}, now=1, forwards=[forward("1")])])
        state.commit(epochs, [ready(2, (2, 0)), Changes("a", 1, identities={("mes", "1"): 1}, now=2)])
        state.commit(epochs, [Changes(P, 3, now=3, forget_identities_before=3)])
        assert (state.known(P, [("mes", "1")]), state.known("a", [("mes", "1")])) == ({}, {("mes", "1"): 1})
        assert state.origin("log") == "log"
        outbox, reading = PostgresOutbox(worker), PostgresReading(worker)
        assert outbox.attend("d", ["erp"]) == {"erp"}
        assert len(outbox.take_over("erp", "d", {P: 3}, 9).entries) == 1
        moment = reading.moment()
        assert moment.known("a", [("mes", "1")]) == {("mes", "1"): 1}
        assert list(state.rows(P))
        for each in (moment, reading, outbox, state):
            each.close()
        with connect(worker, KINDS) as connection:
            for sql in (b"DROP TABLE synchromesh.fact", b"SELECT synchromesh.drop_identities('fact')", b"CREATE TABLE synchromesh.x ()"):
                with pytest.raises(psycopg.Error):
                    connection.execute(sql)
    finally:
        for role in ("synchromesh_owner", "synchromesh"):
            postgres_server.run(f"DROP OWNED BY {role} CASCADE", name=name)
            postgres_server.run(f"DROP ROLE {role}")


class TestPostgresStateBehindAPooler(StateContract):
    """Each transaction on another connection of the server, as PgBouncer hands them out in transaction mode."""

    @pytest.fixture
    def open(self, postgres_server: Server, postgres: str) -> Iterator[Openings]:
        with pooling(postgres_server) as port, postgres_openings(postgres.replace(str(postgres_server.port), str(port))) as openings:
            yield openings


class TestPostgresStateWithoutSessions(StateContract):
    """The same for machines without a pooler: nothing is prepared, and of a session nothing is left after a transaction."""

    @pytest.fixture
    def open(self, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Openings]:
        connection = Session.connection

        def forgetful(self: Session) -> Connection:
            found = connection(self)
            found.prepare_threshold = None
            if found.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                found.execute("DISCARD ALL")
            return found

        monkeypatch.setattr(Session, "connection", forgetful)
        with postgres_openings(postgres, 2) as openings:
            yield openings


# --- moments ------------------------------------------------------------------------------------------------------------------


def test_a_batch_drops_identities_without_waiting_for_who_reads_them(postgres: str) -> None:
    state = PostgresState(database(postgres), "plant", 1)
    epochs = lease(state)
    state.commit(epochs, [Changes(P, 1, identities={("mes", "1"): 1}, now=100)])
    reading = PostgresReading(database(postgres))
    moment = reading.moment()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(state.commit, epochs, [Changes(P, 2, now=300, forget_identities_before=200)]).result(PATIENCE)
    assert moment.known(P, [("mes", "1")]) == {("mes", "1"): 1}
    assert state.known(P, [("mes", "1")]) == {}
    state.commit(epochs, [Changes(P, 3, identities={("mes", "1"): 3}, now=400)])
    assert _segment_tables(postgres) == 2
    moment.close()
    state.commit(epochs, [Changes(P, 4, now=401, forget_identities_before=1)])
    assert _segment_tables(postgres) == 1
    assert state.known(P, [("mes", "1")]) == {("mes", "1"): 3}
    for each in (state, reading):
        each.close()


def _segment_tables(address: str) -> int:
    with connect(database(address), KINDS) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'identity\\_1\\_%'").fetchone()
        assert row is not None
        return int(row[0])


def test_a_frozen_state_tells_the_same_rows_while_others_go_on_and_takes_nothing(postgres: str, tmp_path: Path) -> None:
    [state] = _stores(postgres, 1)
    epochs = lease(state)
    state.commit(epochs, [ready(1, (1, 0)), Changes("b", 1, identities={("mes", "1"): 1}, entities={("order", "1"): b"x"})])
    rows = {name: list(state.rows(name)) for name in (P, "b")}
    frozen = state.frozen(tmp_path)
    state.commit(epochs, [Changes(P, 2, outbox_removed={(1, 0)}), Changes("b", 2, entities={("order", "1"): None})])
    assert frozen.positions() == {P: 1, "b": 1}
    assert {name: list(frozen.rows(name)) for name in (P, "b")} == rows
    assert list(state.rows("b")) != rows["b"]
    for change in (lambda: frozen.commit({}, []), lambda: frozen.attend("w", [P]), lambda: frozen.leave("w"), lambda: frozen.origin("x")):
        with pytest.raises(StateError, match="only to be read"):
            change()
    frozen.close()
    state.close()


def test_identities_are_known_over_many_segments_and_by_the_next_writer(postgres: str) -> None:
    state = PostgresState(database(postgres), "plant", 50)
    epochs = lease(state)
    told_now: dict[tuple[str, str], int] = {}
    for first in range(1, 500, 10):
        batch = {("mes", f"id-{position}"): position for position in range(first, first + 10)}
        assert state.known(P, list(batch)) == {}
        state.commit(epochs, [Changes(P, first + 9, identities=batch, now=first)])
        told_now |= batch
    strangers = [("mes", "id-0"), ("wms", "id-1"), ("mesid-1", ""), ("me", "sid-1")]
    assert state.known(P, [*told_now, *strangers]) == told_now
    with connect(database(postgres), KINDS) as connection:
        assert connection.execute("SELECT count(*) FROM synchromesh.identity_filter").fetchone() == (9,)
    for each in (PostgresState(database(postgres), "plant", 50), state):
        assert each.known(P, [*told_now, *strangers]) == told_now
        each.close()

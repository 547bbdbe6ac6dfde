"""The contract of every state store: what `synchromesh.state.agreement` promises, as tests.

To run it on a store, a stranger's too, give the suite a fixture that opens the same empty store as often as it is asked (the root of this
source tree on the path)::

    from tests.contracts.state import Openings, StateContract

    class TestMyState(StateContract):
        @pytest.fixture
        def open(self, tmp_path):
            with my_openings(tmp_path) as openings:   # three functions: state, outbox, reading
                yield openings

The suite makes the store with `state` before it opens an outbox or a reading.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

import msgspec
import pytest

from synchromesh.model.message import Message
from synchromesh.plant.rows import Changes, ExceptionRow, FactRow, PostingRow
from synchromesh.state.agreement import CauseRow, Fenced, Outbox, Overlapping, Reading, State, StateError, TakenOver

PATIENCE = 20.0
"""Seconds after which what must happen counts as not happening."""
P = "plant-1"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Openings:
    """The ways to open one store, each as often as wanted."""

    state: Callable[[], State]
    outbox: Callable[[], Outbox]
    reading: Callable[[], Reading]


NAMES = ("a", "b", "cut", "new", "once", "other", "p", "plant-2", "q", "quiet")
"""Partitions of the tests beside `P`."""


def lease(state: State, *more: str, owner: str = "w") -> dict[str, int]:
    """The epochs of one who writes all partitions that tests name."""
    return state.attend(owner, [P, *NAMES, *more])


def fact(position: int, received: int = 0, id: str = "", previous: int = 0) -> FactRow:
    return FactRow(
        position,
        "mes",
        id or f"m-{position}",
        "production.reported",
        received or position,
        0,
        "4711",
        "",
        "open",
        "",
        0,
        previous,
        0,
        b"{}",
    )


def posting(position: int, ordinal: int = 0, state: str = "ready") -> PostingRow:
    key = f"{position}.{ordinal}"
    return PostingRow(position, ordinal, key, "receipt", state, "erp", "4711", "4711", 0, 1, f"content of {key}".encode(), position)


def exception(position: int, ordinal: int = 0, state: str = "open", opened: int = 0) -> ExceptionRow:
    return ExceptionRow(position, ordinal, "unknown item", "A-1", "It is unknown.", "Create it.", state, "4711", "", opened or position)


def forward(id: str) -> Message:
    return Message("plant-2", "synchromesh", id, "synchromesh/1", NOON, b"{}")


def ready(position: int, *ids: tuple[int, int], partition: str = P, target: str = "erp") -> Changes:
    """A batch through `position` that makes postings ready."""
    return Changes(partition, position, postings={id: posting(*id) for id in ids}, outbox_added=dict.fromkeys(ids, (target, "lane")))


def _everything(position: int) -> Changes:
    """A batch with a row of every kind that is found by its key."""
    return Changes(
        P,
        position,
        entities={("order", "1"): f"at {position}".encode()},
        facts={position: fact(position)},
        identities={("mes", f"m-{position}"): position},
        postings={(position, 0): posting(position)},
        documents={"4900": (position, 0)},
        exceptions={(position, 0): exception(position)},
    )


class _Both(State, Overlapping, Protocol):
    """A state that can be written while its writer goes on."""


def overlapping(state: State) -> _Both:
    """The state, where it can that; else the test is none of its."""
    if not isinstance(state, Overlapping):
        pytest.skip("this store needs its writer's time until a batch is durable")
    return cast("_Both", state)


class StateContract:
    """`open` is the fixture of the class that inherits: the openings of one empty store."""

    # --- one transaction ----------------------------------------------------------------------------------------------------

    def test_an_empty_store_answers_every_question(self, open: Openings) -> None:
        state = open.state()
        reading = open.reading()
        assert dict(state.positions()) == dict(reading.positions()) == {}
        assert state.load(P, "order", ["1"]) == state.known(P, [("mes", "1")]) == state.facts(P, [1]) == state.postings(P, [(1, 0)]) == {}
        assert state.exceptions(P, [(1, 0)]) == state.documents(P, ["4900"]) == reading.entities(P, [("order", "1")]) == {}
        assert state.outgoing(P, [(1, 0)]) == set()
        assert state.forwards([P], 9) == reading.recent(9) == reading.find_identity("1") == reading.postings_of(P, 1) == []
        assert reading.document("4900") == reading.exceptions("open", 9) == list(state.rows(P)) == []
        assert reading.fact(P, 1) is reading.identity(P, "mes", "1") is None
        assert reading.waiting() == 0
        assert open.outbox().take("erp", "d", 9, 1) == []

    def test_a_batch_is_committed_with_its_position(self, open: Openings) -> None:
        state = open.state()
        changes = Changes(
            P,
            7,
            entities={("order", "4711"): b"order", ("stock", "A/1"): b"stock"},
            facts={5: fact(5), 7: fact(7, previous=5)},
            identities={("mes", "m-5"): 5, ("mes", "m-7"): 7, ("wms", "m-7"): 6},
            postings={(7, 0): posting(7), (7, 1): posting(7, 1)},
            documents={"4900": (7, 1)},
            exceptions={(5, 0): exception(5)},
            now=70,
        )
        state.commit(lease(state), [changes])
        for _ in range(2):
            assert state.positions() == {P: 7}
            assert state.load(P, "order", ["4711", "?"]) | state.load(P, "stock", ["A/1"]) == {
                name: value for (_, name), value in changes.entities.items()
            }
            assert state.facts(P, [5, 6, 7]) == changes.facts
            assert state.known(P, [("mes", "m-5"), ("wms", "m-7"), ("wms", "m-5")]) == {("mes", "m-5"): 5, ("wms", "m-7"): 6}
            assert state.postings(P, [(7, 0), (7, 1), (7, 2)]) == changes.postings
            assert state.documents(P, ["4900", "4901"]) == {"4900": (7, 1)}
            assert state.exceptions(P, [(5, 0), (5, 1)]) == changes.exceptions
            state = open.state()

    def test_partitions_know_nothing_of_each_other(self, open: Openings) -> None:
        state = open.state()
        told = {("order", "1"): b"a"}
        state.commit(
            lease(state), [Changes("a", 1, entities=told, facts={1: fact(1)}, identities={("mes", "1"): 1}, documents={"9": (1, 0)})]
        )
        assert (
            state.load("b", "order", [name for _, name in told])
            == state.facts("b", [1])
            == state.known("b", [("mes", "1")])
            == state.documents("b", ["9"])
            == {}
        )

    def test_rows_are_written_by_their_key_and_entities_can_go(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(
            epoch,
            [
                Changes(
                    P,
                    1,
                    entities={("order", "1"): b"old", ("order", "2"): b"gone"},
                    facts={1: fact(1)},
                    postings={(1, 0): posting(1)},
                    exceptions={(1, 0): exception(1)},
                    identities={("mes", "1"): 1},
                    documents={"9": (1, 0)},
                )
            ],
        )
        booked = msgspec.structs.replace(fact(1), fate="booked")
        posted = posting(1, state="posted")
        resolved = exception(1, state="resolved")
        state.commit(
            epoch,
            [
                Changes(
                    P,
                    2,
                    entities={("order", "1"): b"new", ("order", "2"): None, ("order", "3"): None},
                    facts={1: booked},
                    postings={(1, 0): posted},
                    exceptions={(1, 0): resolved},
                    identities={("mes", "1"): 2},
                    documents={"9": (1, 1)},
                )
            ],
        )
        assert state.load(P, "order", ["1", "2"]) == {"1": b"new"}
        assert state.facts(P, [1]) == {1: booked}
        assert state.postings(P, [(1, 0)]) == {(1, 0): posted}
        assert state.exceptions(P, [(1, 0)]) == {(1, 0): resolved}
        assert state.known(P, [("mes", "1")]) == {("mes", "1"): 2}
        assert state.documents(P, ["9"]) == {"9": (1, 1)}
        assert [row[1] for row in state.rows(P) if row[0] == "identity"] == ["mes 1"]

    def test_many_keys_are_loaded_at_once_whatever_their_number(self, open: Openings) -> None:
        state = open.state()
        entities = {("order", f"{number:05d}"): str(number).encode() for number in range(1234)}
        state.commit(lease(state), [Changes(P, 1, entities=dict(entities))])
        assert state.load(P, "order", [name for _, name in entities]) == {name: value for (_, name), value in entities.items()}

    def test_the_writer_knows_what_stands_in_the_outbox(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [ready(2, (1, 0), (1, 1), (2, 0)), ready(3, (3, 0), partition="other")])
        open.outbox().take("erp", "d", 1, 1)
        assert state.outgoing(P, [(1, 0), (1, 1), (2, 0), (3, 0)]) == {(1, 0), (1, 1), (2, 0)}
        state.commit(epoch, [Changes(P, 3, outbox_removed={(1, 1)})])
        assert state.outgoing(P, [(1, 0), (1, 1)]) == {(1, 0)}
        assert state.outgoing("other", [(1, 0), (3, 0)]) == {(3, 0)}

    def test_a_row_handed_out_is_a_copy(self, open: Openings) -> None:
        state = open.state()
        row = fact(1)
        state.commit(lease(state), [Changes(P, 1, facts={1: row})])
        row.fate = "changed at hand"
        state.facts(P, [1])[1].fate = "changed at hand"
        assert state.facts(P, [1])[1].fate == "open"

    def test_a_batch_that_cant_be_written_changes_no_partition(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [Changes("a", 1, forwards=[forward("1")])])
        good = Changes("b", 5, entities={("order", "1"): b"x"}, identities={("mes", "1"): 5}, postings={(5, 0): posting(5)})
        with pytest.raises(StateError, match="only 1 are pending"):
            state.commit(epoch, [good, Changes("a", 2, forwarded=2)])
        assert state.positions() == {"a": 1}
        assert state.load("b", "order", ["1"]) == state.known("b", [("mes", "1")]) == state.postings("b", [(5, 0)]) == {}
        state.commit(epoch, [good])
        assert state.known("b", [("mes", "1")]) == {("mes", "1"): 5}

    def test_a_writer_goes_on_while_a_batch_is_made_durable(self, open: Openings) -> None:
        state = overlapping(open.state())
        epoch = lease(state)
        called: list[int] = []
        state.commit_meanwhile(epoch, [_everything(7)], lambda: called.append(7))
        assert called == [7]
        assert state.positions() == {P: 7}
        assert {table for table, _, _ in state.rows(P)} >= {"entity", "fact", "posting", "document", "exception", "identity", "position"}
        state.commit_meanwhile(epoch, [Changes(P, 8, entities={("order", "1"): None})], lambda: called.append(8))
        assert called == [7, 8]
        assert state.load(P, "order", ["1"]) == {}

    def test_who_fails_while_a_batch_is_made_durable_hears_it_when_that_has_its_end(self, open: Openings) -> None:
        state = overlapping(open.state())
        epoch = lease(state)

        def fail() -> None:
            raise RuntimeError("meanwhile")

        with pytest.raises(RuntimeError, match="meanwhile"):
            state.commit_meanwhile(epoch, [Changes(P, 1, identities={("mes", "1"): 1})], fail)
        state.commit_meanwhile(epoch, [Changes(P, 2, identities={("mes", "2"): 2})], lambda: None)
        assert state.positions() == {P: 2}
        with pytest.raises(Fenced):
            state.commit_meanwhile({P: epoch[P] - 1}, [Changes(P, 3)], fail)
        assert state.positions() == {P: 2}

    def test_foreign_text_is_only_text(self, open: Openings) -> None:
        state = open.state()
        name = "x'; DROP TABLE entity; -- \u2028 😀 \0 % _ *"
        state.commit(
            lease(state, name), [Changes(name, 1, entities={(name, name): b"1"}, identities={(name, name): 1}, documents={name: (1, 0)})]
        )
        assert state.load(name, name, [name]) == {name: b"1"}
        assert state.known(name, [(name, name)]) == {(name, name): 1}
        assert state.documents(name, [name]) == {name: (1, 0)}
        assert state.positions() == {name: 1}

    # --- the lease ----------------------------------------------------------------------------------------------------------

    def test_a_new_lease_fences_the_old_one(self, open: Openings) -> None:
        first, second = open.state(), open.state()
        old = first.attend("first", [P])
        assert first.attend("first", [P]) == old
        first.commit(old, [Changes(P, 1, identities={("mes", "1"): 1})])
        first.leave("first")
        new = second.attend("second", [P])
        assert new[P] > old[P]
        with pytest.raises(Fenced):
            first.commit(old, [Changes(P, 2)])
        second.commit(new, [Changes(P, 2, identities={("mes", "2"): 2})])
        with pytest.raises(Fenced):
            first.commit(old, [Changes(P, 3)])
        assert first.positions() == second.positions() == {P: 2}

    def test_without_a_lease_nothing_is_written(self, open: Openings) -> None:
        state = open.state()
        with pytest.raises(Fenced):
            state.commit({}, [Changes(P, 1)])
        with pytest.raises(Fenced):
            state.commit({P: 1}, [Changes(P, 1)])
        mine = state.attend("w", ["a"])
        with pytest.raises(Fenced):
            state.commit(mine, [Changes("a", 1), Changes(P, 1)])
        assert state.positions() == {}

    def test_who_has_left_writes_nothing(self, open: Openings) -> None:
        state = open.state()
        epochs = lease(state)
        state.leave("w")
        with pytest.raises(Fenced):
            state.commit(epochs, [Changes(P, 1)])
        assert lease(state)[P] > epochs[P]

    def test_a_state_belongs_to_one_log(self, open: Openings) -> None:
        first, second = open.state(), open.state()
        assert first.origin("this") == second.origin("that") == first.origin("that") == "this"

    def test_a_state_that_moves_is_bound_to_its_new_log(self, open: Openings) -> None:
        first, second = open.state(), open.state()
        assert first.origin("") == second.origin("") == ""
        first.rebind("this")
        assert first.origin("that") == second.origin("that") == "this"
        second.rebind("that")
        assert first.origin("this") == open.state().origin("this") == "that"

    def test_who_takes_over_sees_what_was_committed(self, open: Openings) -> None:
        first, second = open.state(), open.state()
        one, two = ("mes", "1"), ("mes", "2")
        assert second.known(P, [one, two]) == {}
        epoch = first.attend("first", [P])
        first.commit(epoch, [Changes(P, 1, identities={one: 1})])
        assert first.known(P, [one, two]) == {one: 1}
        first.leave("first")
        epoch = second.attend("second", [P])
        assert second.known(P, [one, two]) == {one: 1}
        second.commit(epoch, [Changes(P, 2, identities={two: 2})])
        second.leave("second")
        epoch = first.attend("first again", [P])
        assert first.known(P, [one, two]) == {one: 1, two: 2}
        first.commit(epoch, [Changes(P, 3, identities={two: 3})])
        assert second.known(P, [one, two]) == {one: 1, two: 3}

    # --- forwards -----------------------------------------------------------------------------------------------------------

    def test_forwards_wait_in_order_until_they_are_forgotten(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [Changes("a", 1, forwards=[forward("a1"), forward("a2")]), Changes("b", 1, forwards=[forward("b1")])])
        state.commit(epoch, [Changes("a", 2, forwards=[forward("a3")])])
        assert [(name, message.id) for name, message in state.forwards(["a", "b"], 9)] == [
            ("a", "a1"),
            ("a", "a2"),
            ("b", "b1"),
            ("a", "a3"),
        ]
        assert [message for _, message in state.forwards(["a", "b"], 1)] == [forward("a1")]
        assert [message.id for _, message in state.forwards(["b"], 1)] == ["b1"]
        assert state.forwards([], 9) == []
        state.commit(epoch, [Changes("a", 3, forwarded=2, forwards=[forward("a4")])])
        assert [(name, message.id) for name, message in open.state().forwards(["a", "b"], 9)] == [("b", "b1"), ("a", "a3"), ("a", "a4")]

    # --- identities leave ---------------------------------------------------------------------------------------------------

    def test_identities_inside_the_horizon_stay(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [Changes(P, 1, identities={("mes", "1"): 1}, now=100)])
        state.commit(epoch, [Changes(P, 2, identities={("mes", "2"): 2}, now=200, forget_identities_before=150)])
        assert state.known(P, [("mes", "1"), ("mes", "2")])[("mes", "2")] == 2
        state.commit(epoch, [Changes(P, 3, now=300, forget_identities_before=201)])
        assert state.known(P, [("mes", "1"), ("mes", "2")]) == {}
        state.commit(epoch, [Changes(P, 4, identities={("mes", "1"): 4}, now=400)])
        assert state.known(P, [("mes", "1"), ("mes", "2")]) == {("mes", "1"): 4}

    # --- the outbox ---------------------------------------------------------------------------------------------------------

    def test_what_is_ready_is_taken_once(self, open: Openings) -> None:
        state = open.state()
        outbox, other = open.outbox(), open.outbox()
        state.commit(lease(state), [ready(3, (1, 0), (2, 0), (2, 1))])
        first = outbox.take("erp", "d", 2, 55)
        assert [(each.partition, each.position, each.ordinal) for each in first] == [(P, 1, 0), (P, 2, 0)]
        assert (first[0].target, first[0].lane, first[0].content, first[0].claimed_at) == ("erp", "lane", b"content of 1.0", 55)
        assert [(each.position, each.ordinal) for each in other.take("erp", "e", 9, 56)] == [(2, 1)]
        assert outbox.take("erp", "d", 9, 57) == other.take("erp", "e", 9, 57) == []

    def test_a_target_gets_only_its_own(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(1, (1, 0)), ready(1, (1, 0), partition="plant-2", target="mes")])
        assert [each.partition for each in open.outbox().take("mes", "d", 9, 1)] == ["plant-2"]

    def test_who_became_ready_first_goes_first_and_no_plant_starves(self, open: Openings) -> None:
        state = open.state()
        outbox = open.outbox()
        epoch = lease(state)
        state.commit(epoch, [ready(100, *((number, 0) for number in range(50, 100))), ready(5, (5, 0), partition="quiet")])
        state.commit(epoch, [ready(101, (1, 0))])
        taken = outbox.take("erp", "d", 10, 1)
        assert len(taken) == 10
        assert ("quiet", 5) in {(each.partition, each.position) for each in taken}
        assert [each.position for each in taken if each.partition == P] == list(range(50, 59))
        rest = outbox.take("erp", "d", 100, 2)
        assert [each.position for each in rest] == [*range(59, 100), 1]

    def test_taken_one_by_one_the_plants_take_turns(self, open: Openings) -> None:
        state = open.state()
        outbox = open.outbox()
        state.commit(lease(state), [ready(9, *((number, 0) for number in range(1, 9))), ready(9, (1, 0), (2, 0), partition="quiet")])
        taken = [each.partition for _ in range(4) for each in outbox.take("erp", "d", 1, 1)]
        assert sorted(taken) == sorted([P, P, "quiet", "quiet"])

    def test_nothing_is_taken_of_a_plant_that_is_full(self, open: Openings) -> None:
        state = open.state()
        outbox = open.outbox()
        state.commit(lease(state), [ready(9, (1, 0), (2, 0)), ready(9, (1, 0), partition="quiet")])
        assert [each.partition for each in outbox.take("erp", "d", 9, 1, {P})] == ["quiet"]
        assert [each.position for each in outbox.take("erp", "d", 9, 1)] == [1, 2]

    def test_who_began_last_sends_and_the_one_before_is_fenced(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(9, (1, 0), (2, 0), (3, 0))])
        old, new = open.outbox(), open.outbox()
        assert old.attend("old", ["erp"]) == {"erp"}
        assert [each.position for each in old.take("erp", "old", 1, 1)] == [1]
        assert old.sends("erp", "old")
        old.leave("old")
        assert new.attend("new", ["erp"]) == {"erp"}
        assert not old.sends("erp", "old")
        assert old.sends("mes", "old"), "to each business system its own"
        with pytest.raises(Fenced):
            old.take("erp", "old", 1, 2)
        assert [each.position for each in new.take("erp", "new", 1, 3)] == [2]
        assert new.sends("erp", "new")

    def test_what_troubles_a_target_is_told_to_who_asks(self, open: Openings) -> None:
        open.state()
        outbox, reading = open.outbox(), open.reading()
        assert reading.troubles() == {}
        outbox.tell("erp", "no route to it")
        outbox.tell("mes", "it is full")
        outbox.tell("mes", "")
        assert reading.troubles() == {"erp": "no route to it"}
        outbox.tell("erp", "it is slow")
        assert reading.troubles() == {"erp": "it is slow"}
        outbox.tell("erp", "")
        assert reading.troubles() == {}

    def test_what_becomes_ready_later_is_taken_wherever_it_stands(self, open: Openings) -> None:
        state = open.state()
        outbox = open.outbox()
        epoch = lease(state)
        state.commit(epoch, [ready(9, (9, 0))])
        assert [each.position for each in outbox.take("erp", "d", 9, 1)] == [9]
        state.commit(epoch, [ready(10, (2, 0))])
        assert [each.position for each in outbox.take("erp", "d", 9, 1)] == [2]

    def test_a_claim_outlives_its_claimant_and_is_handed_over_as_doubt(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(2, (1, 0), (2, 0))])
        assert len(open.outbox().take("erp", "dead", 1, 55)) == 1
        successor = open.outbox()
        assert successor.take_over("mes", "new", {P: 2}, 9) == TakenOver([], [P])
        [doubtful] = successor.take_over("erp", "new", {P: 2}, 9).entries
        assert (doubtful.position, doubtful.claimed_at, doubtful.content) == (1, 55, b"content of 1.0")
        assert successor.take_over("erp", "new", {P: 2}, 9) == TakenOver([], [P])
        assert [each.position for each in successor.take("erp", "new", 9, 60)] == [2]
        assert [each.position for each in open.outbox().take_over("erp", "third", {P: 2}, 9).entries] == [1, 2]

    def test_what_one_claimed_before_it_began_anew_is_taken_over_as_doubt(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(2, (1, 0), (2, 0)), ready(1, (1, 0), target="mes", partition="plant-2")])
        outbox = open.outbox()
        outbox.attend("d", ["erp", "mes"])
        assert len(outbox.take("erp", "d", 1, 55)) == 1
        assert len(outbox.take("mes", "d", 1, 55)) == 1
        outbox.disown("erp", "d")
        assert outbox.take_over("mes", "d", {"plant-2": 1}, 9) == TakenOver([], ["plant-2"])
        assert [each.position for each in outbox.take("erp", "d", 9, 60)] == [2]
        assert [(each.position, each.claimed_at) for each in outbox.take_over("erp", "d", {P: 2}, 9).entries] == [(1, 55)]

    def test_nothing_is_taken_over_where_the_state_is_behind_the_log(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [ready(2, (1, 0), (2, 0)), ready(1, (1, 0), partition="plant-2")])
        open.outbox().take("erp", "dead", 9, 1)
        successor = open.outbox()
        heads = {P: 3, "plant-2": 1, "not folded": 1}
        taken = successor.take_over("erp", "new", heads, 9)
        assert ([each.partition for each in taken.entries], taken.partitions) == (["plant-2"], ["plant-2"])
        assert successor.take("erp", "new", 9, 2) == []
        state.commit(epoch, [Changes(P, 3, outbox_removed={(1, 0)})])
        taken = successor.take_over("erp", "new", {P: 3, "not folded": 1}, 9)
        assert ([each.position for each in taken.entries], taken.partitions) == ([2], [P])

    def test_much_is_taken_over_in_parts(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(5, *((number, 0) for number in range(1, 6))), ready(1, (1, 0), partition="plant-2")])
        open.outbox().take("erp", "dead", 9, 1)
        successor = open.outbox()
        parts = [successor.take_over("erp", "new", {P: 5, "plant-2": 1}, 3) for _ in range(3)]
        assert [(len(part.entries), part.partitions) for part in parts] == [(3, []), (3, [P, "plant-2"]), (0, [P, "plant-2"])]

    def test_what_was_claimed_is_known_to_who_comes_later(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(1, (1, 0))])
        first = open.outbox()
        first.take_over("erp", "d", {P: 1}, 9)
        assert open.outbox().known() == {P}

    def test_the_outcome_removes_entry_and_claim(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        outbox = open.outbox()
        state.commit(epoch, [ready(2, (1, 0), (2, 0))])
        outbox.take("erp", "d", 9, 1)
        assert [open.reading().waiting(target) for target in ("", "erp", "mes")] == [2, 2, 0]
        state.commit(epoch, [Changes(P, 3, outbox_removed={(1, 0)})])
        assert [each.position for each in outbox.take_over("erp", "e", {P: 3}, 9).entries] == [2]
        assert outbox.take("erp", "e", 9, 1) == []
        assert open.reading().waiting() == 1

    def test_a_released_claim_can_be_taken_again_by_anyone(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [ready(2, (1, 0), (2, 0))])
        outbox, other = open.outbox(), open.outbox()
        outbox.take("erp", "d", 9, 1)
        assert other.take("erp", "e", 9, 1) == []
        state.commit(epoch, [ready(3, (3, 0))])
        assert [each.position for each in other.take("erp", "e", 9, 1)] == [3]
        outbox.release([(P, 1, 0)])
        assert [each.position for each in other.take("erp", "e", 9, 2)] == [1]
        assert outbox.take("erp", "d", 9, 3) == []
        assert [each.position for each in outbox.take_over("erp", "d", {P: 3}, 9).entries] == [1, 3]

    def test_waiting_ends_when_there_may_be_something_to_take(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        outbox = open.outbox()
        outbox.take("erp", "d", 9, 1)
        assert not outbox.wait(0.01)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(outbox.wait, PATIENCE)
            state.commit(epoch, [ready(1, (1, 0))])
            assert waiting.result(PATIENCE)
        assert not outbox.wait(0.01), "told once, also to one who takes nothing"
        assert len(outbox.take("erp", "d", 9, 1)) == 1

    def test_dispatchers_at_the_same_time_never_claim_the_same(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(300, *((number, 0) for number in range(1, 301)))])

        def drain(name: str) -> list[int]:
            outbox, mine = open.outbox(), []
            while taken := outbox.take("erp", name, 7, 1):
                mine += [each.position for each in taken]
            return mine

        with ThreadPoolExecutor(4) as threads:
            taken = [position for part in threads.map(drain, "abcd") for position in part]
        assert sorted(taken) == list(range(1, 301))

    # --- for people ---------------------------------------------------------------------------------------------------------

    def test_people_find_facts_postings_documents_and_exceptions(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        reading = open.reading()
        state.commit(
            epoch,
            [
                Changes(
                    "a",
                    2,
                    entities={("order", "1"): b"x"},
                    facts={1: fact(1, received=30), 2: fact(2, received=10)},
                    identities={("mes", "same"): 1, ("wms", "same"): 2},
                    postings={(1, 1): posting(1, 1), (1, 0): posting(1)},
                    documents={"4900": (1, 1)},
                    exceptions={(1, 0): exception(1, opened=5), (2, 0): exception(2, opened=9), (2, 1): exception(2, 1, "resolved", 3)},
                ),
                Changes(
                    "b", 1, facts={1: fact(1, received=20)}, identities={("mes", "same"): 1}, exceptions={(1, 0): exception(1, opened=7)}
                ),
            ],
        )
        assert dict(reading.positions()) == {"a": 2, "b": 1}
        assert reading.entities("a", [("order", "1"), ("order", "2")]) == {("order", "1"): b"x"}
        assert reading.fact("a", 2) == fact(2, received=10)
        assert reading.fact("a", 3) is None
        assert [(name, row.received) for name, row in reading.recent(2)] == [("a", 30), ("b", 20)]
        assert (reading.identity("a", "wms", "same"), reading.identity("b", "wms", "same")) == (2, None)
        assert reading.find_identity("same") == [("a", 1), ("a", 2), ("b", 1)]
        assert reading.postings_of("a", 1) == [posting(1), posting(1, 1)]
        assert (reading.posting("a", (1, 1)), reading.posting("a", (1, 2)), reading.posting("c", (1, 1))) == (posting(1, 1), None, None)
        assert reading.document("4900") == [("a", posting(1, 1))]
        assert [(name, row.opened) for name, row in reading.exceptions("open", 2)] == [("a", 9), ("b", 7)]
        assert [(name, row.ordinal) for name, row in reading.exceptions("resolved", 9)] == [("a", 1)]

    def test_open_exceptions_are_counted_and_listed_by_their_cause(self, open: Openings) -> None:
        state = open.state()
        epoch, reading = lease(state), open.reading()

        def row(position: int, ordinal: int, subject: str, order: str, facts: int = 1, state: str = "open") -> ExceptionRow:
            return ExceptionRow(position, ordinal, "unknown item", subject, "s", "r", state, order, "", position, facts=facts)

        rows = [
            row(1, 0, "item X", "1", 3), row(1, 1, "item X", "1"), row(2, 0, "item X", "2"), row(3, 0, "item X", ""),
            row(4, 0, "item X", "3", state="resolved"), row(5, 0, "item Y", "1"),
        ]  # fmt: skip
        state.commit(epoch, [Changes("a", 5, exceptions={(each.position, each.ordinal): each for each in rows})])
        state.commit(epoch, [Changes("b", 9, exceptions={(9, 0): row(9, 0, "item X", "1")})])
        assert sorted(reading.causes(), key=lambda cause: (cause.partition, cause.subject)) == [
            CauseRow("a", "unknown item", "item X", 4, 6, 2, 1),
            CauseRow("a", "unknown item", "item Y", 1, 1, 1, 5),
            CauseRow("b", "unknown item", "item X", 1, 1, 1, 9),
        ]
        first = reading.of_cause("a", "unknown item", "item X", (0, 0), 3)
        assert first == [rows[0], rows[1], rows[2]]
        assert reading.of_cause("a", "unknown item", "item X", (2, 0), 9) == [rows[3]]
        assert reading.of_cause("c", "unknown item", "item X", (0, 0), 9) == []
        assert reading.exception("a", (4, 0)) == rows[4]
        assert reading.exception("a", (4, 1)) is None
        rows[5].state = "dismissed"
        state.commit(epoch, [Changes("a", 6, exceptions={(5, 0): rows[5]})])
        assert {cause.subject for cause in reading.causes()} == {"item X"}

    def test_entities_of_a_kind_are_listed_in_pages_by_name(self, open: Openings) -> None:
        state, names = open.state(), ["10", "2", "B", "a", "\u00e9", "\U0001f600"]
        told: dict[tuple[str, str], bytes | None] = {("order", name): name.encode() for name in reversed(names)}
        epoch = lease(state)
        state.commit(epoch, [Changes(P, 1, entities={**told, ("stock", "0"): b"x", ("order", "gone"): b"x"}), Changes("b", 1)])
        state.commit(epoch, [Changes(P, 2, entities={("order", "gone"): None})])
        reading = open.reading()
        assert reading.entities_of(P, "order", "", 9) == [(name, name.encode()) for name in names]
        assert [name for name, _ in reading.entities_of(P, "order", "10", 2)] == ["2", "B"]
        assert reading.entities_of(P, "order", names[-1], 9) == reading.entities_of("b", "order", "", 9) == []
        assert reading.entities_of("never", "order", "", 9) == []

    def test_facts_are_listed_back_from_a_position(self, open: Openings) -> None:
        state = open.state()
        rows = {position: fact(position, received=100 - position) for position in (2, 5, 6, 9)}
        state.commit(lease(state), [Changes(P, 9, facts=rows), Changes("b", 7, facts={7: fact(7)})])
        reading = open.reading()
        assert [row.position for row in reading.facts_before(P, 10, 9)] == [9, 6, 5, 2]
        assert [row.position for row in reading.facts_before(P, 9, 2)] == [6, 5]
        assert reading.facts_before(P, 2, 9) == reading.facts_before("never", 9, 9) == []

    def test_the_chain_of_facts_leads_back_to_the_first(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        for position in range(1, 6):
            state.commit(epoch, [Changes(P, position, facts={position: fact(position, previous=position - 1)})])
        reading = open.reading()
        chain, position = [], 5
        while position and (row := reading.fact(P, position)):
            chain.append(position)
            position = row.previous
        assert chain == [5, 4, 3, 2, 1]

    # --- one moment ---------------------------------------------------------------------------------------------------------

    def test_a_moment_answers_by_key_as_the_writer_does(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [_everything(2), Changes("other", 5, entities={("order", "1"): b"of the other"})])
        moment = open.reading().moment()
        try:
            assert moment.positions() == {P: 2, "other": 5}
            assert moment.load(P, "order", ["1", "2"]) == {"1": b"at 2"}
            assert moment.known(P, [("mes", "m-2"), ("mes", "m-9"), ("wms", "m-2")]) == {("mes", "m-2"): 2}
            assert moment.facts(P, [2, 3]) == {2: fact(2)}
            assert moment.postings(P, [(2, 0), (2, 1)]) == {(2, 0): posting(2)}
            assert moment.exceptions(P, [(2, 0), (2, 1)]) == {(2, 0): exception(2)}
            assert moment.documents(P, ["4900", "4901"]) == {"4900": (2, 0)}
            assert moment.load("nobody", "order", ["1"]) == {}
        finally:
            moment.close()

    def test_a_moment_stays_as_it_was(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [_everything(2)])
        moment = open.reading().moment()
        try:
            state.commit(epoch, [_everything(3), Changes("new", 1)])
            state.commit(epoch, [Changes(P, 4, entities={("order", "1"): None}, postings={(2, 0): posting(2, state="posted")})])
            assert moment.positions() == {P: 2}
            assert moment.load(P, "order", ["1"]) == {"1": b"at 2"}
            assert moment.postings(P, [(2, 0), (3, 0)]) == {(2, 0): posting(2)}
            assert moment.known(P, [("mes", "m-2"), ("mes", "m-3")]) == {("mes", "m-2"): 2}
            assert moment.documents(P, ["4900"]) == {"4900": (2, 0)}
            assert moment.facts(P, [3]) == {}
        finally:
            moment.close()
        later = open.reading().moment()
        try:
            assert later.positions() == {P: 4, "new": 1}
            assert later.load(P, "order", ["1"]) == {}
            assert later.known(P, [("mes", "m-2"), ("mes", "m-3")]) == {("mes", "m-2"): 2, ("mes", "m-3"): 3}
        finally:
            later.close()

    def test_a_row_of_a_moment_is_a_copy(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [_everything(2)])
        moment = open.reading().moment()
        try:
            moment.postings(P, [(2, 0)])[2, 0].state = "changed at hand"
            assert moment.postings(P, [(2, 0)]) == {(2, 0): posting(2)}
        finally:
            moment.close()

    # --- comparing ----------------------------------------------------------------------------------------------------------

    def test_the_same_facts_give_the_same_rows_however_they_were_cut(self, open: Openings) -> None:
        state = open.state()
        epoch = lease(state)
        state.commit(epoch, [ready(2, (2, 0), (1, 0), partition="once"), Changes("other", 1)])
        state.commit(
            epoch, [Changes("once", 3, entities={("b", "1"): b"1", ("a", "2"): b"2"}, identities={("s", "2"): 3, ("s", "1"): 1}, now=3)]
        )
        state.commit(epoch, [ready(1, (1, 0), partition="cut")])
        state.commit(epoch, [ready(2, (2, 0), partition="cut")])
        state.commit(epoch, [Changes("cut", 2, entities={("a", "2"): b"old"}, identities={("s", "1"): 1}, now=2)])
        state.commit(epoch, [Changes("cut", 3, entities={("a", "2"): b"2", ("b", "1"): b"1"}, identities={("s", "2"): 3}, now=3)])
        rows = list(state.rows("once"))
        assert rows == list(state.rows("cut"))
        assert len(rows) == 1 + 2 + 2 + 2 + 2
        assert rows != list(state.rows("other"))

    def test_claims_and_leases_are_not_part_of_the_rows(self, open: Openings) -> None:
        state = open.state()
        state.commit(lease(state), [ready(1, (1, 0))])
        before = list(state.rows(P))
        open.outbox().take("erp", "d", 9, 1)
        state.attend("x", ["elsewhere"])
        assert list(state.rows(P)) == before

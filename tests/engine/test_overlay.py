"""An overlay answers as a store would after the same commits, and nobody changes it by changing a row at hand."""

from __future__ import annotations

from tests.contracts.state import P, exception, fact, lease, posting

from synchromesh.engine.overlay import Overlay
from synchromesh.plant.rows import Changes
from synchromesh.state.memory import MemoryStore


def overlay() -> Overlay:
    """Rows of position 1 below; on top the order gone, another one made, and rows of position 2."""
    store = MemoryStore()
    state = store.state()
    below = Changes(
        P,
        1,
        entities={("order", "1"): b"below", ("order", "2"): b"below", ("order", "3"): b"below"},
        facts={1: fact(1)},
        identities={("mes", "m-1"): 1},
        postings={(1, 0): posting(1)},
        documents={"4900": (1, 0)},
        exceptions={(1, 0): exception(1)},
    )
    state.commit(lease(state), [below])
    made = Overlay(state, P)
    made.apply(
        Changes(
            P,
            2,
            entities={("order", "1"): None, ("order", "2"): b"top"},
            facts={2: fact(2)},
            identities={("mes", "m-2"): 2},
            postings={(2, 0): posting(2), (1, 0): posting(1, state="posted")},
            documents={"4901": (2, 0)},
            exceptions={(2, 0): exception(2)},
        )
    )
    return made


def test_what_is_on_top_hides_what_is_below_and_the_rest_shows_through() -> None:
    top = overlay()
    assert top.load(P, "order", ["1", "2", "3", "4"]) == {"2": b"top", "3": b"below"}
    assert top.known(P, [("mes", "m-1"), ("mes", "m-2"), ("mes", "m-3")]) == {("mes", "m-1"): 1, ("mes", "m-2"): 2}
    assert top.facts(P, [1, 2, 3]) == {1: fact(1), 2: fact(2)}
    assert top.postings(P, [(1, 0), (2, 0), (3, 0)]) == {(1, 0): posting(1, state="posted"), (2, 0): posting(2)}
    assert top.documents(P, ["4900", "4901", "4902"]) == {"4900": (1, 0), "4901": (2, 0)}
    assert top.exceptions(P, [(1, 0), (2, 0)]) == {(1, 0): exception(1), (2, 0): exception(2)}


def test_a_row_at_hand_is_a_copy() -> None:
    top = overlay()
    row = posting(3)
    top.apply(Changes(P, 3, postings={(3, 0): row}))
    row.state = "changed at hand"
    top.postings(P, [(3, 0)])[3, 0].state = "changed at hand"
    assert top.postings(P, [(3, 0)]) == {(3, 0): posting(3)}

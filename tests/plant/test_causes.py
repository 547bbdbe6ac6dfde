"""What exceptions of one cause share, below what the desk shows of it."""

from __future__ import annotations

from tests.engine.world import PLANT

from synchromesh.model.quantity import exactly
from synchromesh.plant import exceptions
from synchromesh.plant.entities import Cause
from synchromesh.plant.rows import ExceptionRow
from synchromesh.plant.view import View
from synchromesh.state.memory import MemoryStore


def test_an_exception_of_an_earlier_program_which_no_cause_lists_is_closed_without_one() -> None:
    view = View(PLANT, MemoryStore().state())
    with exactly():
        view.begin(1)
        view.totals().exceptions = 1
        view.put_exception(ExceptionRow(1, 0, "other", "document 7", "It is so.", "Do this.", "open", "", "", 0))
        exceptions.close(view, (1, 0))
    closed = view.exception((1, 0))
    assert closed is not None
    assert (closed.state, view.totals().exceptions, view.of(Cause, "cause", "other/document 7")) == ("resolved", 0, None)

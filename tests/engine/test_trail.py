"""Decisions in words, for the trail that people read."""

from __future__ import annotations

from typing import get_args

import pytest
from tests.engine.world import ea

from synchromesh.engine import trail
from synchromesh.model import event as ev
from synchromesh.model.posting import Category

REPORT = ev.ProductionReported("4711", good=ea(9), lot="L1", consumed_lots=("STEEL/S1",), labour_seconds=60)


def test_every_decision_has_words() -> None:
    assert set(trail._WORDS) == set(get_args(ev.DecisionEvent))


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (ev.PostingRetried("oslo:3:receipt:1", "ann"), "sent oslo:3:receipt:1 again"),
        (ev.PostingRetried("oslo:3:receipt:1", "ann", last=True), "sent oslo:3:receipt:1 again, as the last of its lane"),
        (ev.DoubtSettled("oslo:3:receipt:1", "ann", "49"), "found oslo:3:receipt:1 booked as 49"),
        (ev.DoubtSettled("oslo:3:receipt:1", "ann"), "found oslo:3:receipt:1 not booked, and had it sent again"),
        (ev.ExceptionsAssigned(((3, 1), (4, 0)), "ann", "bob"), "assigned 3.1, 4.0 to bob"),
        (ev.ExceptionsAssigned(tuple((n, 0) for n in range(1, 8)), "ann"), "assigned 1.0, 2.0, 3.0, 4.0, 5.0 and 2 more to nobody"),
        (ev.FactDismissed(3, "ann", "a trial"), "dismissed the fact at 3: a trial"),
        (ev.FactRetried(3, "ann"), "had the fact at 3 told again, as it was"),
        (
            ev.FactRepaired(3, "ann", "counted again", REPORT),
            "corrected the fact at 3 to production.reported (order 4711, good 9 EA, lot L1, labour seconds 60, consumed lots STEEL/S1): "
            "counted again",
        ),
        (
            ev.FactReplayed(3, "ann", "mended", "sha", (ev.OrderStarted("4711"),), payload="{}"),
            "had the message at 3 read again, with a corrected payload, as production.order.started (order 4711): mended",
        ),
        (
            ev.FactReplayed(3, "ann", "mended", "sha", recorded="a test"),
            "had the message at 3 read again, as recorded only (a test): mended",
        ),
        (ev.CauseReleased(Category.LOCKED, "erp", "ann"), "had everything tried again that was stopped by “locked: erp”"),
        (ev.CauseDismissed(Category.LOCKED, "erp", "ann", "a trial"), "dismissed everything that was stopped by “locked: erp”: a trial"),
        (ev.CauseAssigned(Category.LOCKED, "erp", "ann", "bob"), "assigned everything that is stopped by “locked: erp” to bob"),
        (ev.DecisionApproved(7, "bob"), "approved what was proposed at 7"),
        (ev.DecisionDenied(7, "bob", "no"), "denied what was proposed at 7: no"),
        (ev.DifferenceAdjusted("9:1", "ann"), "approved the correction of stock 9:1"),
        (ev.DifferenceAdjusted("9:1", "ann", "counted"), "approved the correction of stock 9:1: counted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ev.Event) else "",
)
def test_decisions_are_told_in_words(decision: ev.DecisionEvent, words: str) -> None:
    assert trail.in_words(decision) == words

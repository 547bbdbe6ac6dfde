"""The auditor: compares ERP's books with the truth, by its own arithmetic, and the system's account of itself with both.

Its questions are the functions listed here. It imports nothing of what it judges, and looks at nothing but its arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from synchromesh.sim.account import (
    acknowledged_is_kept,
    corrections_are_told,
    each_has_a_fate,
    exceptions_have_reasons,
    fates_are_true,
    lateness_is_shown,
    outstanding_has_reasons,
    sums_are_right,
    traces_are_whole,
)
from synchromesh.sim.books import (
    books_agree,
    completions_agree,
    completions_come_last,
    documents_were_decided,
    everything_is_worked_off,
    lanes_were_kept,
    ledgers_agree,
    nothing_is_promised,
    nothing_stands_beside_others,
    operations_agree,
    operations_end_their_gathers,
    postings_are_booked,
    rebookings_come_first,
    releases_are_whole,
    reports_agree,
    stock_agrees,
    stock_is_awaited,
    two_decide,
)
from synchromesh.sim.case import Case, Nature
from synchromesh.sim.days import closed_days_are_kept, days_are_true
from synchromesh.sim.evidence import Evidence
from synchromesh.sim.genealogy import genealogy_agrees
from synchromesh.sim.told import Scene, Told
from synchromesh.sim.verdict import Verdict

_QUESTIONS = (
    acknowledged_is_kept,
    corrections_are_told,
    each_has_a_fate,
    fates_are_true,
    exceptions_have_reasons,
    outstanding_has_reasons,
    sums_are_right,
    documents_were_decided,
    postings_are_booked,
    lanes_were_kept,
    books_agree,
    completions_agree,
    completions_come_last,
    days_are_true,
    stock_agrees,
    genealogy_agrees,
    closed_days_are_kept,
    lateness_is_shown,
    traces_are_whole,
    ledgers_agree,
    nothing_is_promised,
    nothing_stands_beside_others,
    operations_agree,
    operations_end_their_gathers,
    stock_is_awaited,
    reports_agree,
    two_decide,
    rebookings_come_first,
    releases_are_whole,
    everything_is_worked_off,
)


def audit(scene: Scene, told: Sequence[Told], evidence: Evidence) -> Verdict:
    """Judge one run that has come to rest, over the readable facts that the plants told."""
    case = Case(scene, told, evidence)
    return Verdict(
        len(evidence.received),
        sum(nature is Nature.FACT for nature in case.natures.values()),
        len(case.ours),
        Counter(fated.fate for fated in evidence.fates),
        tuple(sorted(finding for question in _QUESTIONS for finding in question(case))),
    )

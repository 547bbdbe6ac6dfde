"""What the auditor asks of a plant at rest, of what people put right and of the order of things: an honest plant passes, and each planted
error is named by the question that is about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from tests.sim.honest import honest, replace, story

from synchromesh.model.event import FactCorrected, OperationCompleted, OrderCompleted, ProductionReported
from synchromesh.model.posting import PostingKind
from synchromesh.sim.auditor import audit
from synchromesh.sim.evidence import Evidence, Opened, People, PutRight, Received, Term
from synchromesh.sim.faults import QUIET, Arrivals
from synchromesh.sim.history import History
from synchromesh.sim.truth import Ledger, moves, truth_of
from synchromesh.sim.verdict import Verdict

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Planted = Callable[[History, Arrivals, Evidence], Evidence]


def rested(seed: int) -> tuple[History, Arrivals, Evidence]:
    """A flawless run in which nothing is due any more, with what its plants keep for themselves."""
    past, arrivals = story(seed, rates=QUIET)
    evidence = honest(past, arrivals)
    exceptions = [
        Opened(f.plant, f.position, "unknown item", "late", subject=f"thing {f.position}") for f in evidence.fates if f.fate == "waiting"
    ]
    fates = [replace(f, reference=f"thing {f.position}" if f.fate == "waiting" else "") for f in evidence.fates]
    homes = past.scene.homes
    evidence = replace(
        evidence,
        at_rest=True,
        fates=fates,
        exceptions=[*evidence.exceptions, *exceptions],
        ledger={(homes[place.location], place): amount for place, amount in evidence.balances.items()},
        reported=_reported(past, arrivals),
        made=_made(past, arrivals),
        chains=_chains(evidence, arrivals),
    )
    return past, arrivals, evidence


def _reported(past: History, arrivals: Arrivals) -> dict[object, dict[str, Decimal]]:
    exact: dict[object, Fraction] = defaultdict(Fraction)
    for book, total in truth_of(past.scene, arrivals.told).exact.items():
        for place, amount in moves(book, total):
            exact[place] += amount
    return {
        (past.scene.homes[place.location], place): {past.scene.items[place.item].unit: Decimal(amount.numerator)}  # type: ignore[attr-defined]
        for place, amount in exact.items()
        if amount.denominator == 1 and place.location in past.scene.homes  # type: ignore[attr-defined]
    }


def _made(past: History, arrivals: Arrivals) -> dict[tuple[str, str, str], list[dict[str, Decimal]]]:
    ledger = Ledger(past.scene)
    for one in arrivals.told:
        ledger.tell(one)
    made: dict[tuple[str, str, str], list[dict[str, Decimal]]] = {}
    for fact, event in ledger.finals().items():
        if isinstance(event, ProductionReported):
            sums = made.setdefault((fact.plant, event.order, event.operation), [{}, {}, {}, {}])
            for amounts, told in zip(sums, (event.good, event.scrap, event.held, event.rework), strict=True):
                if told is not None:
                    amounts[told.unit] = amounts.get(told.unit, Decimal(0)) + told.amount
    return made


def _chains(evidence: Evidence, arrivals: Arrivals) -> dict[tuple[str, str], list[int]]:
    told = {one.fact: one.event for one in arrivals.told}
    chains: dict[tuple[str, str], list[int]] = defaultdict(list)
    for received in evidence.received:
        event = told[received.fact]
        order = getattr(event.event if isinstance(event, FactCorrected) else event, "order", "")
        if order:
            chains[received.plant, order].append(received.position)
    return chains


@pytest.mark.parametrize("seed", range(6))
def test_a_flawless_plant_at_rest_passes(seed: int) -> None:
    past, arrivals, evidence = rested(seed)
    verdict = audit(past.scene, arrivals.told, evidence)
    assert verdict.ok, str(verdict)


# --- planted errors ------------------------------------------------------------------------------------------------------


def _believe_more_stock(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    place = min(evidence.ledger)
    return replace(evidence, ledger={**evidence.ledger, place: evidence.ledger[place] + 1})


def _believe_more_reports(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    known = past.scene.items
    planned = {c.item for order in past.scene.orders.values() for c in order.components if c.backflush}
    place = min(each for each in evidence.reported if each[1].item not in planned | past.scene.never)
    unit = known[place[1].item].unit
    return replace(evidence, reported={**evidence.reported, place: {unit: evidence.reported[place][unit] + 1}})


def _count_more_at_an_operation(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    where = min(evidence.made)
    good, *others = evidence.made[where]
    unit = past.scene.items[past.scene.orders[where[1]].item].unit
    more = {**good, unit: good.get(unit, Decimal(0)) + 1}
    return replace(evidence, made={**evidence.made, where: [more, *others]})


def _expect_what_never_comes(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    return replace(evidence, promised={min(evidence.ledger)})


def _work_for_ever(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    return replace(evidence, unfinished={("oslo", "waiting:item GLUE")})


def _lose_a_fact_of_a_trace(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    return replace(evidence, chains={where: chain[::2] for where, chain in evidence.chains.items()})


def _walk_twice(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    return replace(evidence, chains={where: [*chain, chain[0]] for where, chain in evidence.chains.items()})


def _hide_what_is_late(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    first = evidence.fates[0]
    waits = replace(first, fate="waiting", reference="item NEVER")
    return replace(evidence, fates=[waits, *evidence.fates[1:]])


def _decide_alone(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    posting = evidence.postings[0]
    return replace(evidence, alone={(posting.plant, posting.place[1])})


def _leave_some_of_a_release(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    return replace(evidence, people=People(left=frozenset({evidence.postings[0].key})))


def _send_without_stock(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    postings = [replace(posting, decided=NOON) for posting in evidence.postings]
    return replace(evidence, postings=postings, short={postings[0].key: NOON + timedelta(minutes=1)})


def _book_again_behind(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    lanes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for posting in evidence.postings:
        lanes[posting.plant, posting.lane].append(posting.key)
    first, *later = next(keys for keys in lanes.values() if len(keys) > 3)
    asked = {key: (at, 10_000) for at, key in enumerate((*later, first))}
    postings = [replace(p, rebooks=True, place=(0, p.place[1], 1)) if p.key == first else p for p in evidence.postings]
    return replace(evidence, postings=postings, asked=asked)


def _complete_too_early(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    told = {one.fact: one.event for one in arrivals.told}
    for completion in (d for d in evidence.documents if d.kind is PostingKind.COMPLETION):
        facts = [r for r in evidence.received if getattr(told[r.fact], "order", "") == completion.order]
        end = next(r for r in facts if isinstance(told[r.fact], OrderCompleted))
        early = [r for r in facts if r.position < end.position and isinstance(told[r.fact], ProductionReported)]
        posting = next((p for p in evidence.postings if p.order == completion.order and p.kind is not PostingKind.COMPLETION), None)
        if early and posting is not None:
            place = (early[0].plant, early[0].position)
            fates = [replace(f, group=f.position) if (f.plant, f.position) == place else f for f in evidence.fates]
            postings = [replace(p, group=place[1]) if p is posting else p for p in evidence.postings]
            documents = [completion, *(d for d in evidence.documents if d is not completion)]
            return replace(evidence, fates=fates, postings=postings, documents=documents)
    raise AssertionError("no order is completed")


def _right(evidence: Evidence, arrivals: Arrivals) -> PutRight:
    """A person says that twice as much was made."""
    told = {one.fact: one for one in arrivals.told}
    revised = {(one.plant, one.event.id) for one in arrivals.told if hasattr(one.event, "source") and hasattr(one.event, "id")}
    received = next(
        r
        for r in evidence.received
        if isinstance(event := told[r.fact].event, ProductionReported) and event.good is not None and (r.plant, r.id) not in revised
    )
    one = told[received.fact]
    good = one.event.good  # type: ignore[union-attr]
    more = replace(one.event, good=replace(good, amount=good.amount * 2))
    return PutRight(received.plant, received.position, replace(one, event=more), by_message=False)


def _lose_a_correction(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    return replace(evidence, people=People(put_right=[_right(evidence, arrivals)]))


def _with_correction(right: PutRight, evidence: Evidence) -> Evidence:
    """The correction is told and has a fate, and ERP's books know nothing of it."""
    position = max(r.position for r in evidence.received if r.plant == right.plant) + 1
    event = {"type": "correction.corrected", "source": right.meant.source, "id": right.meant.id, "event": right.meant.event}
    body = msgspec.json.encode(msgspec.convert(event, FactCorrected))
    told = Received(right.plant, position, "synchromesh.repair", "77", body)
    fate = replace(evidence.fates[0], plant=right.plant, position=position, fate="recorded", reference="", group=0)
    chains = {where: [*chain, position] for where, chain in evidence.chains.items()}
    return replace(evidence, received=[*evidence.received, told], fates=[*evidence.fates, fate], chains=chains)


def _correct_nothing(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    right = _right(evidence, arrivals)
    return replace(_with_correction(right, evidence), people=People(put_right=[right]))


def _correct_what_nobody_meant(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    return _with_correction(_right(evidence, arrivals), evidence)


def _send_what_others_have_booked(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    posting = evidence.postings[0]
    again = replace(posting, key="again", place=(posting.place[0], 99, 1))
    first = replace(posting, state="withdrawn", successor="again", document="", replaced=True)
    documents = [replace(d, key="again") if d.key == posting.key else d for d in evidence.documents]
    return replace(
        evidence,
        documents=documents,
        postings=[first, again, *evidence.postings[1:]],
        people=People(instead={"H1": posting.key}),
        known_outside={"H1": (posting.plant, 50)},
    )


def _leave_a_gather_open(past: History, arrivals: Arrivals, evidence: Evidence) -> Evidence:
    told = {one.fact: one.event for one in arrivals.told}
    for end in evidence.received:
        event = told[end.fact]
        if not isinstance(event, OperationCompleted) or event.order in past.scene.never:
            continue
        early = [
            r
            for r in evidence.received
            if isinstance(told[r.fact], ProductionReported) and r.plant == end.plant and r.position < end.position
        ]
        opened = next((r for r in early if told[r.fact].order == event.order), None)  # type: ignore[union-attr]
        posting = next((p for p in evidence.postings if p.order == event.order), None)
        if opened is not None and posting is not None:
            decided = replace(posting, group=opened.position, place=(end.position + 1, opened.position, 1))
            term = Term(end.plant, 0, past.scene.orders[event.order])
            return replace(evidence, terms=[term], postings=[decided if p is posting else p for p in evidence.postings])
    raise AssertionError("no operation ends")


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (_believe_more_stock, "where its plant believes"),
        (_believe_more_reports, "was reported where"),
        (_count_more_at_an_operation, "made at operation"),
        (_expect_what_never_comes, "expects a movement"),
        (_work_for_ever, "is still working off"),
        (_lose_a_fact_of_a_trace, "does not walk to"),
        (_walk_twice, "walks 2 times"),
        (_hide_what_is_late, "nobody is shown that"),
        (_decide_alone, "was decided by one person"),
        (_leave_some_of_a_release, "did not go on"),
        (_send_without_stock, "without stock"),
        (_book_again_behind, "which build on it"),
        (_complete_too_early, "after the completion"),
        (_lose_a_correction, "nothing came of it"),
        (_correct_nothing, "is true"),
        (_correct_what_nobody_meant, "is damaged, but its fate is"),
        (_send_what_others_have_booked, "others had booked it as H1"),
        (_leave_a_gather_open, "after the operation's end"),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_"),
)
def test_every_planted_error_is_named(plant: Planted, words: str) -> None:
    for seed in range(20):
        past, arrivals, evidence = rested(seed)
        try:
            planted = plant(past, arrivals, evidence)
        except (AssertionError, StopIteration):
            continue  # this night has nothing of the kind
        scene = replace(past.scene, gather="operation") if plant is _leave_a_gather_open else past.scene
        verdict = audit(scene, arrivals.told, planted)
        assert _names(verdict, words), str(verdict)
        return
    raise AssertionError("no night has anything of the kind")


def _names(verdict: Verdict, words: str) -> bool:
    return any(words in str(finding) for finding in verdict.findings)

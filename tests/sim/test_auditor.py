"""The auditor finds nothing in a flawless run, and each kind of planted error in any run."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.sim.honest import honest, replace, story

from synchromesh.model.posting import PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.sim.auditor import audit
from synchromesh.sim.evidence import Edge, Evidence, Opened, Word
from synchromesh.sim.faults import Arrivals, Rates
from synchromesh.sim.history import History
from synchromesh.sim.truth import Book, Due, Place, moves, stock_after, truth_of
from synchromesh.sim.verdict import Fault

Planted = Callable[[History, Arrivals, Evidence, random.Random], Evidence]


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_flawless_run_passes(seed: int) -> None:
    past, arrivals = story(seed)
    verdict = audit(past.scene, arrivals.told, honest(past, arrivals))
    assert verdict.ok, str(verdict)
    assert verdict.received == len(arrivals.messages)
    assert sum(verdict.fates.values()) == verdict.received - sum(
        b"input.ended" in m.body and "damaged" not in m.id for m in arrivals.messages
    )


def _lose_a_document(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    gone = chance.choice(evidence.documents)
    return replace(evidence, documents=[d for d in evidence.documents if d is not gone], balances=_balances_without(past, evidence, gone))


def _lose_a_posting_too(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    gone = chance.choice([document for document in evidence.documents if document.lines])
    return replace(
        evidence,
        documents=[d for d in evidence.documents if d is not gone],
        postings=[p for p in evidence.postings if p.key != gone.key],
        balances=_balances_without(past, evidence, gone),
    )


def _balances_without(past: History, evidence: Evidence, gone: object) -> dict[Place, Decimal]:
    stock = defaultdict(Decimal, stock_after(past.scene, {}))
    for document in evidence.documents:
        if document is gone:
            continue
        for line in document.lines:
            made = past.scene.orders[document.order].item if document.order else ""
            location = "" if document.kind is PostingKind.SCRAP and line.item == made else line.location
            book = Book(document.kind, document.order, line.item, line.lot, location, line.status, line.to_location, line.to_status)
            for place, amount in moves(book, line.quantity.amount):
                stock[place] += amount
    return {place: amount for place, amount in stock.items() if amount}


def _book_twice_with_one_key(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    again = chance.choice(evidence.documents)
    return replace(evidence, documents=[*evidence.documents, replace(again, number="D-again")])


def _book_twice_with_two_keys(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    number = chance.randrange(len(evidence.documents))
    document, posting = evidence.documents[number], evidence.postings[number]
    place = (len(evidence.documents) + 7, 1, 1)
    return replace(
        evidence,
        documents=[*evidence.documents, replace(document, number="D-again", key="again")],
        postings=[*evidence.postings, replace(posting, key="again", document="D-again", place=place)],
    )


def _round_wrongly(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    number = chance.choice([n for n, d in enumerate(evidence.documents) if d.lines and d.lines[0].quantity.amount > 0])
    document, posting = evidence.documents[number], evidence.postings[number]
    line = document.lines[0]
    step = Decimal(1).scaleb(-past.scene.items[line.item].decimals)
    more = (replace(line, quantity=Quantity(line.quantity.amount + step, line.quantity.unit)),)
    return replace(
        evidence,
        documents=[replace(d, lines=more) if d is document else d for d in evidence.documents],
        postings=[replace(p, lines=more) if p is posting else p for p in evidence.postings],
    )


def _swap_in_a_lane(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    counts = Counter(d.lane for d in evidence.documents if d.order)
    lane = chance.choice(sorted(lane for lane, count in counts.items() if count > 1))
    numbers = [n for n, d in enumerate(evidence.documents) if d.lane == lane]
    documents = list(evidence.documents)
    first, last = numbers[0], numbers[-1]
    documents[first], documents[last] = documents[last], documents[first]
    return replace(evidence, documents=documents)


def _book_for_nobody(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    like = chance.choice(evidence.documents)
    return replace(evidence, documents=[*evidence.documents, replace(like, number="D-?", key="nobody:1")])


def _say_something_else(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    number = chance.choice([n for n, d in enumerate(evidence.documents) if d.lines])
    document = evidence.documents[number]
    other = replace(document, lines=(*document.lines, document.lines[0]))
    return replace(evidence, documents=[other if d is document else d for d in evidence.documents])


def _forget_a_fate(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    gone = chance.choice(evidence.fates)
    return replace(evidence, fates=[f for f in evidence.fates if f is not gone])


def _have_two_fates(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    return replace(evidence, fates=[*evidence.fates, chance.choice(evidence.fates)])


def _call(fate: str, *dues: Due) -> Planted:
    def plant(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
        due = truth_of(past.scene, arrivals.told).due
        firsts: dict[object, int] = {}
        for r in evidence.received:
            firsts.setdefault(r.fact, r.position)
        fated = {(f.plant, f.position) for f in evidence.fates}
        firsts_only = [r for r in evidence.received if firsts[r.fact] == r.position and (r.plant, r.position) in fated]
        # The end of an order may truly wait, for facts of the order that wait for ever.
        right = [r for r in firsts_only if due.get(r.fact) in dues and not (fate == "waiting" and b"order.completed" in r.body)]
        assume(right)
        false = chance.choice(right)
        return replace(
            evidence,
            fates=[replace(f, fate=fate) if (f.plant, f.position) == (false.plant, false.position) else f for f in evidence.fates],
        )

    return plant


def _book_a_repeat(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    repeat = chance.choice([f for f in evidence.fates if f.fate == "duplicate"])
    return replace(evidence, fates=[replace(f, fate="booked") if f is repeat else f for f in evidence.fates])


def _believe_damage(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    bad = chance.choice([f for f in evidence.fates if f.fate == "exception"])
    return replace(evidence, fates=[replace(f, fate="recorded") if f is bad else f for f in evidence.fates])


def _hide_an_exception(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    return replace(evidence, exceptions=evidence.exceptions[1:])


def _cry_wolf(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    fine = chance.choice([f for f in evidence.fates if f.fate == "booked"])
    return replace(evidence, exceptions=[*evidence.exceptions, Opened(fine.plant, fine.position, "other", "wolf")])


def _dismiss_in_silence(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    fine = chance.choice([f for f in evidence.fates if f.fate == "booked"])
    return replace(evidence, fates=[replace(f, fate="dismissed") if f is fine else f for f in evidence.fates])


def _acknowledge_and_lose(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    gone = chance.choice(evidence.received)
    return replace(evidence, received=[r for r in evidence.received if r is not gone])


def _leave_a_posting(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    left = chance.choice(evidence.postings)
    kept = [d for d in evidence.documents if d.key != left.key]
    gone = next(d for d in evidence.documents if d.key == left.key)
    return replace(
        evidence,
        documents=kept,
        postings=[replace(p, state="ready", document="") if p is left else p for p in evidence.postings],
        balances=_balances_without(past, evidence, gone),
    )


def _book_on_a_strange_day(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    some = chance.choice(evidence.documents)
    moved = replace(some, effective=some.effective - timedelta(days=30))
    return replace(evidence, documents=[moved if d is some else d for d in evidence.documents])


def _move_stock_in_secret(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    place = chance.choice(sorted(evidence.balances))
    return replace(evidence, balances={**evidence.balances, place: evidence.balances[place] + 1})


def _book_into_a_closed_period(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    posting = chance.choice(evidence.postings)
    day = evidence.documents[evidence.postings.index(posting)].effective
    decided = replace(posting, effective=day)
    words = [Word(posting.plant, 0, day, day, False), Word("elsewhere", 0, day, day, True)]
    return replace(evidence, words=words, postings=[decided if p is posting else p for p in evidence.postings])


def _move_to_a_day_that_was_closed(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    some = chance.choice(evidence.documents)
    words = [Word("oslo", 0, some.effective, some.effective + timedelta(days=1), False)]
    moved = replace(some, original=some.effective, effective=some.effective + timedelta(days=1))
    return replace(evidence, words=words, documents=[moved if d is some else d for d in evidence.documents])


def _lose_times(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    with_times = [n for n, d in enumerate(evidence.documents) if d.labour_seconds > 1]
    assume(with_times)
    number = chance.choice(with_times)
    document, posting = evidence.documents[number], evidence.postings[number]
    return replace(
        evidence,
        documents=[replace(d, labour_seconds=1) if d is document else d for d in evidence.documents],
        postings=[replace(p, labour_seconds=1) if p is posting else p for p in evidence.postings],
    )


def _lose_an_edge(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    edges = evidence.made_from
    return (
        replace(evidence, made_from=edges - {chance.choice(sorted(edges))}) if edges else replace(evidence, went_into={Edge("?", "?", "?")})
    )


def _know_an_edge_from_one_side(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    return replace(evidence, made_from=evidence.made_from | {Edge("oslo", "RESIN/nobody", "PUMP/told")})


def _say_refused_though_booked(past: History, arrivals: Arrivals, evidence: Evidence, chance: random.Random) -> Evidence:
    some = chance.choice(evidence.postings)
    return replace(evidence, postings=[replace(p, state="rejected") if p is some else p for p in evidence.postings])


@pytest.mark.parametrize(
    ("plant", "fault"),
    [
        (_lose_a_document, Fault.LOST),
        (_lose_a_posting_too, Fault.LOST),
        (_book_twice_with_one_key, Fault.DOUBLED),
        (_book_twice_with_two_keys, Fault.DOUBLED),
        (_round_wrongly, Fault.DOUBLED),
        (_swap_in_a_lane, Fault.DISORDER),
        (_book_for_nobody, Fault.UNEXPLAINED),
        (_say_something_else, Fault.UNEXPLAINED),
        (_forget_a_fate, Fault.LOST),
        (_have_two_fates, Fault.FATE),
        (_call("recorded", Due.BOOKS), Fault.LOST),
        (_call("duplicate", Due.BOOKS, Due.RECORDS), Fault.LOST),
        (_call("exception", Due.BOOKS, Due.RECORDS), Fault.REASON),
        (_call("waiting", Due.BOOKS), Fault.REASON),
        (_call("booking", Due.BOOKS), Fault.LOST),
        (_call("booked", Due.RECORDS), Fault.FATE),
        (_book_a_repeat, Fault.DOUBLED),
        (_believe_damage, Fault.FATE),
        (_hide_an_exception, Fault.REASON),
        (_cry_wolf, Fault.REASON),
        (_dismiss_in_silence, Fault.LOST),
        (_acknowledge_and_lose, Fault.LOST),
        (_leave_a_posting, Fault.LOST),
        (_book_on_a_strange_day, Fault.DAY),
        (_move_stock_in_secret, Fault.STOCK),
        (_say_refused_though_booked, Fault.FATE),
        (_lose_times, Fault.LOST),
        (_book_into_a_closed_period, Fault.DAY),
        (_move_to_a_day_that_was_closed, Fault.DAY),
        (_lose_an_edge, Fault.UNEXPLAINED),
        (_know_an_edge_from_one_side, Fault.UNEXPLAINED),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).strip("_"),
)
@given(seed=st.integers(0, 10_000), chance=st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_every_planted_error_is_found(plant: Planted, fault: Fault, seed: int, chance: random.Random) -> None:
    past, arrivals = story(seed, rates=Rates(repeated=0.3, damaged_then_told=0.2))
    verdict = audit(past.scene, arrivals.told, plant(past, arrivals, honest(past, arrivals), chance))
    assert verdict.count(fault), str(verdict)


def test_a_refused_posting_with_its_exception_is_no_error() -> None:
    past, arrivals = story(7)
    evidence = honest(past, arrivals)
    refused = next(p for p in evidence.postings if p.kind is PostingKind.ISSUE)
    gone = next(d for d in evidence.documents if d.key == refused.key)
    evidence = replace(
        evidence,
        documents=[d for d in evidence.documents if d is not gone],
        postings=[replace(p, state="rejected", document="") if p is refused else p for p in evidence.postings],
        exceptions=[*evidence.exceptions, Opened(refused.plant, 1, "locked", "refused", refused.key)],
        balances=_balances_without(past, evidence, gone),
        refused={refused.key},
    )
    verdict = audit(past.scene, arrivals.told, evidence)
    assert verdict.ok, str(verdict)
    assert not audit(past.scene, arrivals.told, replace(evidence, refused=frozenset())).ok


def test_a_verdict_reads_like_a_report() -> None:
    past, arrivals = story(3)
    evidence = honest(past, arrivals)
    verdict = audit(past.scene, arrivals.told, replace(evidence, documents=evidence.documents[1:]))
    text = str(verdict)
    assert "messages" in text
    assert "lost" in text
    assert len(text.splitlines()) == 1 + len(verdict.findings)

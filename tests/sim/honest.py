"""A system that does everything right, made from the truth alone: what the auditor must find nothing wrong with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import msgspec

from synchromesh.model.event import InputEnded
from synchromesh.model.message import Message
from synchromesh.model.posting import Line, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.sim.evidence import Decided, Document, Edge, Evidence, Fated, Opened, Received
from synchromesh.sim.faults import Arrivals, Rates, disturb
from synchromesh.sim.genealogy import edges_of
from synchromesh.sim.history import History, history
from synchromesh.sim.plants import Habits
from synchromesh.sim.told import FactId, Scene, Told
from synchromesh.sim.truth import LABOUR, MACHINE, Book, Due, Ledger, Truth, truth_of

HABITS = Habits(unknown_orders=0.1, unknown_items=0.1)


def story(seed: int, orders: int = 2, rates: Rates | None = None) -> tuple[History, Arrivals]:
    past = history(seed, HABITS, orders)
    past = replace(past, scene=replace(past.scene, confirmations=True))
    return past, disturb(past.told, seed, rates or Rates(damaged=0.05))


def honest(past: History, arrivals: Arrivals) -> Evidence:
    """The evidence of a flawless run."""
    truth = truth_of(past.scene, arrivals.told)
    received = _log(arrivals.messages)
    fates, exceptions = _account(received, arrivals, truth)
    postings, documents = _books(past.scene, arrivals.told, truth)
    edges = _edges(past.scene, arrivals.told)
    return Evidence(arrivals.messages, received, documents, postings, fates, exceptions, truth.stock, made_from=edges, went_into=edges)


def _edges(scene: Scene, told: Sequence[Told]) -> frozenset[Edge]:
    ledger = Ledger(scene)
    for one in told:
        ledger.tell(one)
    finals = ledger.finals()
    return frozenset(edge for fact, event in finals.items() for edge in edges_of(fact.plant, event, scene.orders))


def _log(messages: Sequence[Message]) -> list[Received]:
    heads: dict[str, int] = {}
    received = []
    for message in messages:
        heads[message.partition] = heads.get(message.partition, 0) + 1
        received.append(Received(message.partition, heads[message.partition], message.source, message.id, message.body))
    return received


def _account(received: Sequence[Received], arrivals: Arrivals, truth: Truth) -> tuple[list[Fated], list[Opened]]:
    told = {one.fact: one for one in arrivals.told}
    first: dict[FactId, Received] = {}
    fates, exceptions = [], []
    for one in received:
        before = first.setdefault(one.fact, one)
        if one.fact in told and isinstance(told[one.fact].event, InputEnded) and one.body == told[one.fact].body():
            continue
        if before is not one and before.body == one.body:
            fate = Fated(one.plant, one.position, "duplicate", str(before.position))
        elif before is not one or one.fact not in told:
            fate = Fated(one.plant, one.position, "exception", "unreadable or reused")
            exceptions.append(Opened(one.plant, one.position, "invalid", "unreadable or reused"))
        else:
            fate = Fated(one.plant, one.position, FATES[truth.due[one.fact]])
        fates.append(fate)
    return fates, exceptions


FATES = {
    Due.BOOKS: "booked", Due.CARRIED: "booked", Due.REVISED: "booked",
    Due.RECORDS: "recorded", Due.UNKNOWN: "waiting", Due.OPEN: "waiting",
}  # fmt: skip


def _books(scene: Scene, told: Sequence[Told], truth: Truth) -> tuple[list[Decided], list[Document]]:
    days = _days(scene, told)
    postings: list[Decided] = []
    documents: list[Document] = []

    def book(kind: PostingKind, plant: str, order: str, lines: tuple[Line, ...], day: date, **work: object) -> None:
        number = len(documents) + 1
        key, lane = f"{plant}:{number}", order or lines[0].item
        postings.append(Decided(plant, (number, number, 1), key, kind, "posted", lane, order, lines, 0, f"D{number}", **work))
        documents.append(Document(f"D{number}", key, kind, lane, order, day, lines, **work))

    for total, amount in truth.totals.items():
        plant = (total.order or total.location).split("-")[0].lower()
        day = days[total.order or total.item]
        if total.kind is PostingKind.CONFIRMATION:
            seconds = {} if total.item else {SECONDS[total.reason]: int(amount)}
            lines = (_line(scene, total, amount),) if total.item else ()
            book(total.kind, plant, total.order, lines, day, operation=total.operation, **seconds)
        else:
            book(total.kind, plant, total.order, (_line(scene, total, amount),), day)
    for order in sorted(truth.completed):
        book(PostingKind.COMPLETION, order.split("-", maxsplit=1)[0], order, (), days[order])
    return postings, documents


SECONDS = {LABOUR: "labour_seconds", MACHINE: "machine_seconds"}


def _line(scene: Scene, book: Book, amount: object) -> Line:
    quantity = Quantity(amount, scene.items[book.item].unit)  # type: ignore[arg-type]
    return Line(
        book.item, quantity, book.location, book.lot, book.status, "", book.to_location, book.to_status, book.operation, book.reason
    )


def _days(scene: Scene, told: Sequence[Told]) -> Mapping[str, date]:
    days: dict[str, date] = {}
    for one in told:
        event = getattr(one.event, "event", one.event)
        for field in ("order", "item"):
            days[getattr(event, field, "")] = one.at.astimezone(ZoneInfo(scene.zones[one.plant])).date()
    return days


replace = msgspec.structs.replace

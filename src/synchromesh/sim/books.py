"""Are ERP's books true? Documents against decisions, lanes, totals, days and stock, by arithmetic that shares nothing with the system's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from synchromesh.model.event import FactCorrected, OperationCompleted, OrderCompleted, ProductionReported
from synchromesh.model.posting import Line, PostingKind
from synchromesh.sim.case import Case, Nature, named
from synchromesh.sim.evidence import Decided, Document, Received
from synchromesh.sim.truth import LABOUR, MACHINE, Book, Place, factor, moves, rounded, stock_after, transfer
from synchromesh.sim.verdict import Fault, Finding

_WITHOUT_AMOUNTS: Final = frozenset({PostingKind.COMPLETION, PostingKind.REVERSAL})
_BY_REASON: Final = frozenset({PostingKind.SCRAP, PostingKind.ADJUSTMENT, PostingKind.CONFIRMATION})
PATIENCE: Final = timedelta(minutes=60)
"""How long what needs stock waits for it where nothing on its way would bring it."""

_BOOKED: Final = frozenset({"posted", "reversed"})


def documents_were_decided(case: Case) -> Iterator[Finding]:
    """Each document of ours has a decision behind it, and no decision has two."""
    keys: dict[str, str] = {}
    claimed = {posting.document for posting in case.evidence.postings if posting.document}
    for document in case.ours:
        if document.key in keys:
            yield Finding(Fault.DOUBLED, f"documents {keys[document.key]} and {document.number} are both of {document.key}")
        if document.key:
            keys[document.key] = document.number
        if document.key not in case.postings and document.number not in claimed:
            yield Finding(Fault.UNEXPLAINED, f"document {document.number} ({document.key or 'no key'}) was never decided")


def postings_are_booked(case: Case) -> Iterator[Finding]:
    """What is called posted is in ERP's books with the same content, and what is called unbooked is not."""
    by_key = {document.key: document for document in case.evidence.documents if document.key}
    for posting in case.evidence.postings:
        document = case.numbers.get(posting.document) or by_key.get(posting.key)
        if posting.state in _BOOKED and document is None:
            yield Finding(Fault.LOST, f"{named(posting)} is called {posting.state}, but document {posting.document!r} is not in the books")
        elif posting.state in _BOOKED and document is not None and _content(document) != _content(posting):
            yield Finding(Fault.UNEXPLAINED, f"document {document.number} does not say what {posting.key} says")
        elif posting.state not in (*_BOOKED, "reversed outside") and document is not None and not document.cancelled:
            yield Finding(Fault.FATE, f"{named(posting)} is called {posting.state}, but it is in the books as {document.number}")


def _content(one: Document | Decided) -> tuple[object, ...]:
    """What ERP books of a posting; a reversal says only what it takes back."""
    work = (one.operation, one.labour_seconds, one.machine_seconds) if one.kind is PostingKind.CONFIRMATION else ()
    return (one.kind, one.lines, *work)


def lanes_were_kept(case: Case) -> Iterator[Finding]:
    """Within a lane ERP booked in the order of decision; only what it refused on the way may come later."""
    newest: dict[tuple[str, str], Decided] = {}
    numbered = {posting.document: posting for posting in case.evidence.postings if posting.document}
    for document in case.evidence.documents:
        posting = case.postings.get(document.key) or numbered.get(document.number)
        if posting is None or document.by_hand:
            continue
        before = newest.get((posting.plant, posting.lane))
        if before is None or _earlier(before, posting):
            newest[posting.plant, posting.lane] = posting
        elif _earlier(posting, before) and not posting.rebooks and posting.key not in case.evidence.refused:
            yield Finding(Fault.DISORDER, f"{named(posting)} was booked after {named(before)}, which was decided later")


def _earlier(one: Decided, other: Decided) -> bool:
    """Whether `one` certainly was decided before `other`."""
    if one.place[0] == other.place[0] and one.place[1] != other.place[1]:
        return False
    return one.place < other.place


def books_agree(case: Case) -> Iterator[Finding]:
    """Documents, and postings that openly are outstanding or that people gave up, add up to the truth, book by book."""
    held = _held(case)
    for book in sorted(held.keys() | case.truth.totals.keys()):
        true, have = case.truth.totals.get(book, Decimal(0)), held.get(book, Decimal(0))
        if true == have:
            continue
        sentence = f"{book}: ERP has {have} where {true} is true{f', in {case.scene.items[book.item].unit}' if book.item else ''}"
        yield Finding(_fault(true, have), sentence)


def _fault(true: Decimal, have: Decimal) -> Fault:
    if not true:
        return Fault.UNEXPLAINED
    return Fault.LOST if have * true < true * true else Fault.DOUBLED


def _held(case: Case) -> dict[Book, Decimal]:
    """Amounts by book, in base units: of documents of ours that stand, and of postings that are outstanding or given up."""
    held: dict[Book, Decimal] = defaultdict(Decimal)
    standing = [document for document in case.ours if not document.cancelled]
    signed: list[tuple[int, Document | Decided]] = []
    for document in standing:
        original = case.numbers.get(document.reverses)
        signed.append((-1, original) if original else (1, document))
    for posting in (*case.outstanding, *case.given_up):
        taken_back = case.postings.get(posting.reverses)
        if taken_back is None:
            signed.append((1, posting))
        elif taken_back.state != "withdrawn" or taken_back in case.given_up:  # else there is nothing left to take back
            signed.append((-1, taken_back))
    for sign, one in signed:
        for book, amount in _amounts(case, one):
            held[book] += sign * amount
    return {book: amount for book, amount in held.items() if amount}


def _amounts(case: Case, one: Document | Decided) -> Iterator[tuple[Book, Decimal]]:
    """What a document or posting says by book, but for what ERP will never know."""
    if one.kind in _WITHOUT_AMOUNTS or one.order in case.scene.never:
        return
    for line in one.lines:
        if line.item not in case.scene.never:
            book, sign = _book(case, one.kind, one.order, line)
            if one.kind is PostingKind.CONFIRMATION:
                book = book._replace(operation=line.operation or one.operation)
            yield book, sign * _base(case, line)
    for reason, seconds in ((LABOUR, one.labour_seconds), (MACHINE, one.machine_seconds)):
        if seconds:
            yield Book(one.kind, one.order, "", reason=reason, operation=one.operation), Decimal(seconds)


def _book(case: Case, kind: PostingKind, order: str, line: Line) -> tuple[Book, int]:
    """The book that a line moves, and the sign of its amount there."""
    if kind is PostingKind.TRANSFER:
        return transfer(line.item, line.lot, (line.location, line.status), (line.to_location, line.to_status))
    made = case.scene.orders[order].item if order in case.scene.orders else ""
    reason = line.reason if kind in _BY_REASON else ""
    location = "" if kind is PostingKind.SCRAP and line.item == made else line.location
    return Book(kind, order, line.item, line.lot, location, line.status, reason=reason), 1


def _base(case: Case, line: Line) -> Decimal:
    item = case.scene.items[line.item]
    return rounded(Fraction(line.quantity.amount) * factor(item, line.quantity.unit), 9)


def completions_agree(case: Case) -> Iterator[Finding]:
    """Each order that the plant completed has one completion, or it is outstanding or given up, or waits with the facts of the order
    that can't be booked; no other order has any."""
    held = Counter(document.order for document in case.ours if document.kind is PostingKind.COMPLETION and not document.cancelled)
    held.update(posting.order for posting in (*case.outstanding, *case.given_up) if posting.kind is PostingKind.COMPLETION)
    for order in sorted(held.keys() | case.truth.completed):
        wanted = int(order in case.truth.completed)
        waits = order in case.held_up and not held[order]
        if held[order] != wanted and order not in case.scene.never and not waits:
            fault = Fault.LOST if held[order] < wanted else Fault.DOUBLED
            yield Finding(fault, f"order {order} has {held[order]} completions where {wanted} is true")


def completions_come_last(case: Case) -> Iterator[Finding]:
    """A completion stands behind the documents of all facts of its order that were received before the plant told its end; only what ERP
    refused or people cancelled on the way may come later."""
    booked = {document.number: index for index, document in enumerate(case.evidence.documents)}
    completed = {p.order: booked[p.document] for p in case.postings.values() if _completes(p) and p.document in booked}
    groups = _told_before_the_end(case)
    for posting in case.postings.values():
        if posting.order not in completed or _completes(posting) or posting.rebooks:
            continue
        early = posting.group in groups[posting.order]
        if early and booked.get(posting.document, -1) > completed[posting.order]:
            yield Finding(Fault.DISORDER, f"{named(posting)} was booked after the completion of order {posting.order}")


def _told_before_the_end(case: Case) -> dict[str, set[int]]:
    """By order, the groups of the facts that stand in the log before its end. Corrections may wait for originals that come after it, and
    nobody knows of a message that can't be read which order it is about."""
    ends: dict[str, int] = {}
    facts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for received in case.evidence.received:
        fated = case.fates.get((received.plant, received.position))
        order = case.order_of(received)
        place = (received.plant, received.position)
        if not order or fated is None or case.natures[place] is not Nature.FACT or place in case.instead:
            continue
        event = case.told[received.fact].event
        if isinstance(event, OrderCompleted):
            ends[order] = received.position
        elif not isinstance(event, FactCorrected):
            facts[order].append((received.position, fated.group))
    return defaultdict(set, {order: {group for at, group in facts[order] if at < end and group} for order, end in ends.items()})


def _completes(posting: Decided) -> bool:
    return posting.kind is PostingKind.COMPLETION


def ledgers_agree(case: Case) -> Iterator[Finding]:
    """What a plant believes that ERP has at its own places is what ERP has there."""
    if not case.evidence.at_rest:
        return
    known = {place: case.evidence.ledger.get((home, place), Decimal(0)) for place, home in _homes(case)}
    for place, booked in sorted(known.items()):
        have = case.evidence.balances.get(place, Decimal(0))
        if have != booked:
            yield Finding(Fault.STOCK, f"{'/'.join(word for word in place if word)}: ERP has {have} where its plant believes {booked}")


def stock_is_awaited(case: Case) -> Iterator[Finding]:
    """What ERP refused for want of stock had waited for it, as long as patience lasts. A person may insist; an original that is taken back
    and what others do in ERP may take stock away from what did not have to wait."""
    taken = {item for document in case.evidence.documents if document.by_hand or document.cancelled for item in _less(document)}
    undone = {line.item for p in case.postings.values() if p.reverses for line in case.postings[p.reverses].lines}
    again = {p.successor for p in case.postings.values() if p.successor and _same_group(case, p)}
    for key, refused in sorted(case.evidence.short.items()):
        posting = case.postings.get(key)
        if posting is None or posting.decided is None or posting.reverses or key in again:
            continue
        items = {line.item for line in posting.lines}
        if refused - posting.decided < PATIENCE and not items & (taken | undone):
            yield Finding(Fault.STOCK, f"{named(posting)} was sent {refused - posting.decided} after its decision, without stock")


def reports_agree(case: Case) -> Iterator[Finding]:
    """What a plant believes that was reported of stock is what was told in the end. What ERP's plan issues is left out."""
    if not case.evidence.at_rest:
        return
    planned = {component.item for order in case.scene.orders.values() for component in order.components if component.backflush}
    true: dict[Place, Fraction] = defaultdict(Fraction)
    for book, total in case.truth.exact.items():
        for place, amount in moves(book, total):
            true[place] += amount
    for (plant, place), told in sorted(case.evidence.reported.items()):
        if case.scene.homes.get(place.location) != plant or place.item in planned | case.scene.never:
            continue
        item = case.scene.items[place.item]
        have = sum((Fraction(amount) * factor(item, unit) for unit, amount in told.items()), Fraction(0))
        if have != true[place]:
            where = "/".join(word for word in place if word)
            yield Finding(Fault.STOCK, f"{where}: {plant} believes that {have} was reported where {true[place]} is true")


def releases_are_whole(case: Case) -> Iterator[Finding]:
    """What people release goes on, all of it."""
    for key in sorted(case.evidence.people.left):
        yield Finding(Fault.LOST, f"{named(case.postings[key])} was released with all of its cause, and did not go on")


def rebookings_come_first(case: Case) -> Iterator[Finding]:
    """What is booked again for what others cancelled in ERP goes before what was decided later in its lane and has still to be sent; one of
    these may be on its way already, and what was booked again before."""
    asked = case.evidence.asked
    for again in case.postings.values():
        if not again.rebooks or again.key not in asked:
            continue
        before = [
            posting
            for posting in case.postings.values()
            if (posting.plant, posting.lane) == (again.plant, again.lane)
            and posting.place[0] > again.place[0]
            and posting.key in asked
            and not posting.rebooks
            and asked[posting.key][1] >= again.place[1]
            and asked[posting.key][0] < asked[again.key][0]
        ]
        if len(before) > 1:
            yield Finding(Fault.DISORDER, f"{named(again)} was sent after {named(before[0])} and {named(before[1])}, which build on it")


def two_decide(case: Case) -> Iterator[Finding]:
    """Where two people must decide, one decides nothing."""
    for posting in case.evidence.postings:
        if (posting.plant, posting.place[1]) in case.evidence.alone:
            yield Finding(Fault.UNEXPLAINED, f"{named(posting)} was decided by one person, where a second one is needed")


def everything_is_worked_off(case: Case) -> Iterator[Finding]:
    """At rest nothing is being worked off."""
    for plant, name in sorted(case.evidence.unfinished if case.evidence.at_rest else ()):
        yield Finding(Fault.REASON, f"{plant} is still working off {name!r}")


def _less(document: Document) -> Iterator[str]:
    """The items of which a document of others may leave less, whether it stands or is cancelled."""
    for line in document.lines:
        if document.cancelled or document.kind is not PostingKind.ADJUSTMENT or line.quantity.amount < 0:
            yield line.item


def _same_group(case: Case, posting: Decided) -> bool:
    return posting.successor in case.postings and case.postings[posting.successor].group == posting.group


def nothing_stands_beside_others(case: Case) -> Iterator[Finding]:
    """What somebody has booked by hand for a refused posting is not sent again by a person once the plant knows of that document."""
    for number, key in sorted(case.evidence.people.instead.items()):
        plant, position = case.evidence.known_outside.get(number, ("", 0))
        posting = case.postings.get(key)
        while posting is not None and plant:
            if posting.key != key and posting.place[1] > position:
                yield Finding(Fault.DOUBLED, f"{named(posting)} was sent again, though others had booked it as {number}")
            posting = case.postings.get(posting.successor) if _same_group(case, posting) else None


def operations_end_their_gathers(case: Case) -> Iterator[Finding]:
    """Where an operation's end makes documents of what was gathered, nothing that was told of its order before it is decided after it."""
    if case.scene.gather != "operation":
        return
    ends = [(received.plant, case.order_of(received), received.position) for received in _ends(case)]
    again = {posting.successor for posting in case.postings.values()}
    for posting in case.postings.values():
        decided, cause, _ = posting.place
        if posting.key in again or cause != posting.group or not _gathers_at_once(case, posting):
            continue
        for plant, order, position in ends:
            if (plant, order) == (posting.plant, posting.order) and cause < position < decided and _knows(case, plant, order, cause):
                yield Finding(Fault.DISORDER, f"{named(posting)} was decided at {decided}, after the operation's end at {position}")


def _ends(case: Case) -> Iterator[Received]:
    """The messages by which operations end that did not have to wait for their orders."""
    for received in case.evidence.received:
        told = case.told.get(received.fact)
        if told is None or not isinstance(told.event, OperationCompleted):
            continue
        fact = case.natures[received.plant, received.position] is Nature.FACT
        if fact and _knows(case, received.plant, told.event.order, received.position):
            yield received


def _gathers_at_once(case: Case, posting: Decided) -> bool:
    """Whether the fact that opened the posting's gather waited for nothing."""
    opened = [r for r in case.evidence.received if (r.plant, r.position) == (posting.plant, posting.group)]
    events = [case.told[received.fact].event for received in opened if received.fact in case.told]
    return bool(events) and isinstance(events[0], ProductionReported) and (posting.plant, posting.group) not in case.instead


def _knows(case: Case, plant: str, order: str, position: int) -> bool:
    """Whether the plant had been told of the order before this position of its log."""
    return any(term.plant == plant and term.order.order == order and term.position < position for term in case.evidence.terms)


def nothing_is_promised(case: Case) -> Iterator[Finding]:
    """A plant of which nothing is outstanding expects nothing of any stock."""
    busy = {posting.plant for posting in case.outstanding}
    for plant, place in sorted(case.evidence.promised):
        if plant not in busy:
            yield Finding(
                Fault.STOCK, f"{plant} expects a movement of {'/'.join(word for word in place if word)}, and nothing is on its way"
            )


def operations_agree(case: Case) -> Iterator[Finding]:
    """What plants say was made at each operation is what was told of it in the end."""
    true: dict[tuple[str, str, str], list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 4)
    for fact, event in case.finals.items():
        if isinstance(event, ProductionReported):
            item = case.scene.items[case.scene.orders[event.order].item]
            told = [event.good, event.scrap, event.held, event.rework]
            amounts = [Fraction(each.amount) * factor(item, each.unit) if each is not None else Fraction(0) for each in told]
            sums = true[fact.plant, event.order, event.operation]
            true[fact.plant, event.order, event.operation] = [one + other for one, other in zip(sums, amounts, strict=True)]
    for where, reported in sorted(case.evidence.made.items()):
        item = case.scene.items[case.scene.orders[where[1]].item]
        held = [sum((Fraction(amount) * factor(item, unit) for unit, amount in each.items()), Fraction(0)) for each in reported]
        if held != true[where]:
            have, should = (", ".join(map(str, amounts)) for amounts in (held, true[where]))
            sentence = f"order {where[1]} made at operation {where[2]!r}: {have} where {should} is true (good, scrap, held, rework)"
            yield Finding(Fault.UNEXPLAINED, sentence)


def _homes(case: Case) -> Iterator[tuple[Place, str]]:
    """Each place that ERP or a plant speaks of, with the plant that it belongs to."""
    for place in case.evidence.balances.keys() | {place for _, place in case.evidence.ledger}:
        home = case.scene.homes.get(place.location)
        if home is not None:
            yield place, home


def stock_agrees(case: Case) -> Iterator[Finding]:
    """ERP's stock is opening balances plus its documents, by hand or not: its books are sound, and nothing moved without a document."""
    stock: dict[Place, Decimal] = defaultdict(Decimal, stock_after(case.scene, {}))
    for document in case.evidence.documents:
        if document.cancelled:
            continue
        original = case.numbers.get(document.reverses)
        source, sign = (original, -1) if original else (document, 1)
        for line in source.lines:
            book, direction = _book(case, source.kind, source.order, line)
            for place, amount in moves(book, _base(case, line)):
                stock[place] += sign * direction * amount
    for place in sorted(stock.keys() | case.evidence.balances.keys()):
        have, should = case.evidence.balances.get(place, Decimal(0)), stock.get(place, Decimal(0))
        if have != should:
            yield Finding(Fault.STOCK, f"{'/'.join(word for word in place if word)}: ERP has {have} where its documents make {should}")

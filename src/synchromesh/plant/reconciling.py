"""What reconciliations found, kept with its age; one exception a scope about it; and the correction of stock that a person approves."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.model import subject, tally
from synchromesh.model.event import Difference, DifferenceAdjusted, Proposal, Reconciled, StockAdjusted
from synchromesh.model.instant import micros
from synchromesh.model.posting import Category
from synchromesh.model.quantity import Quantity, plain
from synchromesh.plant import exceptions
from synchromesh.plant.entities import Balance, Found, Reconciliation, Run
from synchromesh.plant.rows import PostingId
from synchromesh.plant.stock import SEPARATOR, named, place
from synchromesh.plant.view import View

RUNS: Final = 100
"""How many runs of a scope are kept."""

SCOPES: Final = ("stock", "orders", "states")
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_proposal: Final = msgspec.json.Decoder(Proposal).decode


def name_of(scope: str, difference: str) -> str:
    """Under which name a difference of a scope is kept."""
    return f"{scope}{SEPARATOR}{difference}"


def keep(view: View, event: Reconciled) -> None:
    """Keep what a run found: a difference that was there before keeps its age, one that is gone is forgotten."""
    known = view.made(Reconciliation, "reconciliation", event.scope)
    at = micros(event.at)
    found = {name_of(event.scope, each.name): each for each in event.differences}
    view.prefetch("difference", (*found, *known.found))
    anew = sum(_note(view, name, each, at) for name, each in found.items())
    for name in known.found:
        if name not in found:
            view.drop("difference", name)
    known.found = tuple(found)
    run = Run(view.position, at, event.compared, event.beyond, anew, event.scheduled)
    known.runs = (*known.runs, run)[-RUNS:]
    _tell(view, event, known, anew)


def _note(view: View, name: str, difference: Difference, at: int) -> int:
    """Keep one difference; whether it is new. One whose correction was approved before has come again."""
    known = view.of(Found, "difference", name)
    stands = known is not None and not known.decided
    since = known.since if known is not None and stands else at
    proposal = _encode(difference.proposal) if difference.proposal is not None else b""
    view.put("difference", name, Found(since, view.position, difference.sentence, difference.amount, difference.unit, proposal))
    return 0 if stands else 1


def _tell(view: View, event: Reconciled, known: Reconciliation, anew: int) -> None:
    """One exception a scope while a scheduled run finds differences, closed by any run that finds none. One that a person dismissed comes
    again only with a difference that is new."""
    row = view.exception(known.exception) if known.exception[0] else None
    is_open = row is not None and row.state == "open"
    if not event.beyond:
        if is_open:
            exceptions.close(view, known.exception)
    elif event.scheduled and not is_open and (anew or row is None or row.state != "dismissed"):
        known.exception = (view.position, 0)
        exceptions.open_fact(
            view,
            view.position,
            Category.DIFFERENCE,
            subject.reconciliation(event.scope),
            f"The reconciliation of {event.scope} found {event.beyond} difference(s) beyond the tolerance that nothing explains.",
            f"Look at them (synchromesh reconcile {event.scope}), correct what is wrong, or approve the corrections that are proposed.",
        )


# --- corrections of stock -------------------------------------------------------------------------------------------------


def standing_of(balance: Balance | None) -> str:
    """How both ledgers stand at a place, in one text: while it is the same nothing moved there."""
    if balance is None:
        return ""
    reported = ",".join(f"{plain(amount)} {unit}" for unit, amount in sorted(balance.reported.items()))
    sums = (balance.booked, balance.claimed, balance.pending, balance.outside, balance.unbooked)
    return "/".join((reported, *map(plain, sums)))


def named_by(view: View, proposal: str) -> Found | None:
    """The difference that a proposal is about: it is named by the last run of its scope and by its number there."""
    name = difference_of(view, proposal)
    return view.of(Found, "difference", name) if name else None


def difference_of(view: View, proposal: str) -> str:
    """The name of the difference with this proposal, '' for none any more."""
    known = view.of(Reconciliation, "reconciliation", "stock")
    position, number = parse(proposal)
    if known is None or not known.runs or known.runs[-1].position != position or not 0 < number <= len(known.found):
        return ""
    return known.found[number - 1]


def parse(proposal: str) -> PostingId:
    """Position and number of a proposal; (0, 0) for what is none."""
    position, _, number = proposal.partition(":")
    both = position.isascii() and position.isdigit() and number.isascii() and number.isdigit() and len(proposal) < 40
    return (int(position), int(number)) if both else (0, 0)


def approve(view: View, event: DifferenceAdjusted, by: str) -> tuple[bool, StockAdjusted | None]:
    """Take the approved correction over into the ledgers: whether it fits, and what is left to be booked in ERP as a fact, if anything.
    A proposal that is approved already, or that does not fit any more, changes no ledger."""
    name = difference_of(view, event.proposal)
    found = view.of(Found, "difference", name) if name else None
    if found is None or not found.proposal or found.decided:
        return False, None
    view.touch("difference", name)
    found.by = by
    proposal = _proposal(found.proposal)
    key = place(proposal.item, proposal.location, proposal.lot, proposal.status, proposal.owner)
    if standing_of(view.of(Balance, "stock", key)) != proposal.seen or view.policy.booking == "record":
        found.stale = view.position
        return False, None
    found.decided = view.position
    _take_over(view, key, proposal)
    if not proposal.adjust:
        return True, None
    reason = f"reconciliation {event.proposal}" + (f": {event.reason}" if event.reason else "")
    return True, StockAdjusted(
        proposal.item, Quantity(proposal.adjust, proposal.unit), proposal.location, reason[:128], proposal.lot, proposal.status,
        proposal.owner,
    )  # fmt: skip


def _take_over(view: View, key: str, proposal: Proposal) -> None:
    """The ledgers learn what is true. The adjustment itself moves both: the reported one at once, the booked one when ERP has it."""
    balance = view.balance(key)
    balance.unit = balance.unit or proposal.unit
    tally.add(balance.reported, proposal.reported - proposal.adjust, proposal.unit)
    balance.booked += proposal.booked


def in_words(proposal: Proposal) -> str:
    """What approving would do, for a person."""
    where = named(place(proposal.item, proposal.location, proposal.lot, proposal.status, proposal.owner))
    if not proposal.adjust:
        return f"Take over that {where} is different by {plain(proposal.reported)} {proposal.unit}, in both ledgers; ERP has it already."
    sign = "+" if proposal.adjust > Decimal(0) else ""
    return f"Adjust {where} in ERP by {sign}{plain(proposal.adjust)} {proposal.unit}."

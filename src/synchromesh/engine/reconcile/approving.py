"""Whether a proposed correction of stock can be approved as things stand: what the desk asks before it takes the decision."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.proposing import key_of
from synchromesh.model.event import Proposal
from synchromesh.plant import reconciling
from synchromesh.plant.entities import Balance, Found, Reconciliation
from synchromesh.state.agreement import Reading

_proposal: Final = msgspec.json.Decoder(Proposal).decode


class NoProposal(LookupError):
    """There is no such proposal. The text says what there is."""


class Unfit(ValueError):
    """The proposal can't be approved (any more). The text says why."""


def check(reading: Reading, plant: str, proposal: str) -> None:
    """Raises `NoProposal` for what the last kept run did not propose, and `Unfit` where it fits no more. One that is approved already does
    nothing the second time, and is no error."""
    books = OwnBooks(reading, plant)
    known = books.one(Reconciliation, "reconciliation", "stock")
    position, number = reconciling.parse(proposal)
    if known is None or not known.runs or known.runs[-1].position != position or not 0 < number <= len(known.found):
        raise NoProposal(f"there is no proposal {proposal[:64]!r} in the last kept reconciliation of stock; run it again and look there")
    found = books.one(Found, "difference", known.found[number - 1])
    if found is None or not found.proposal:
        raise NoProposal(f"the difference {proposal} has no proposal: it must be resolved where it comes from")
    if found.decided:
        return
    content = _proposal(found.proposal)
    if reconciling.standing_of(books.one(Balance, "stock", key_of(content))) != content.seen:
        raise Unfit(f"proposal {proposal} does not fit any more: the ledgers have moved at this place; run the reconciliation again")
    if books.policy().booking == "record":
        raise Unfit("ERP books this plant by itself, so nothing can be booked there; correct it in ERP")

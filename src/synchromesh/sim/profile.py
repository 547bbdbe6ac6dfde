"""How bad a simulated night is: the plants' habits, the network, the ERP, the processes and the people, as rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.plant.policy import Policy, Verb
from synchromesh.sim.faults import QUIET, Rates
from synchromesh.sim.plants import Habits

ROUGH: Final[Mapping[Fault, float]] = {
    Fault.UNAVAILABLE: 0.04,
    Fault.BROKEN: 0.03,
    Fault.DROPPED: 0.03,
    Fault.HALVED: 0.03,
    Fault.LOST: 0.06,
    Fault.LATE: 0.04,
    Fault.LOCKED: 0.05,
    Fault.CLOSED_PERIOD: 0.02,
    Fault.PARKED: 0.02,
    Fault.DECLINED: 0.02,
    Fault.ACCEPTED: 0.02,
}


PUNCTUAL: Final[Mapping[Fault, float]] = {fault: rate for fault, rate in ROUGH.items() if fault is not Fault.CLOSED_PERIOD}
"""An ERP that calls a period closed only when it is."""


class Profile(msgspec.Struct, frozen=True):
    """One kind of night.

    `kills`: how often a process dies at a point where it may (before and after every durable step and every call to ERP). `stalls`: how
    often the dispatcher stands still for hours. `pauses`: how often the worker does, so that messages pile up. `revenants`: how often
    another dispatcher takes over from one that lives and goes on later. `stale`: how often one tells of a refusal that came before the
    document of the same posting. `restarts`: how often ERP is restarted, and away for minutes. `by_hand`: how often somebody books or
    cancels in ERP. `rash`: how often the operator dismisses a refused posting at once; `thorough`: how often the rest of the desk is used
    (take on, tell again, release a whole cause). `approvals` are decisions that need a second person; `selfish`: how often one approves
    what is their own. `closes`: whether ERP closes a period in the middle of the night; `reopens`: and others, and opens them again.
    `closed_period` is the policy for them. `scarce`: how much of what is on stock comes in the middle of the night, or never. `reforms`:
    how often a plant's policy is activated anew, with other confirmations and another operation that yields. `batch`: the most messages a
    worker folds at a time. `slips`: how often a worker tells something wrong, which a clerk puts right at the desk; `misread`: whether the
    WMS writes in its own words, which are read wrongly until the adapter is mended and the messages are read again; `instead`: how often
    somebody books by hand in ERP what it has refused: then what is sent again, is so at the desk, which warns of that.
    """

    grade: Grade = Grade.UNIQUE
    differences: bool = True
    habits: Habits = Habits(unknown_orders=0.05, unknown_items=0.03)
    orders: int = 2
    network: Rates = Rates()
    erp: Mapping[Fault, float] = msgspec.field(default_factory=lambda: ROUGH)
    gather: Literal["report", "operation", "order"] = "report"
    gather_silence_seconds: int = 0
    confirmations: bool = False
    kills: float = 0.01
    stalls: float = 0.02
    revenants: float = 0.0
    restarts: float = 0.0
    by_hand: float = 0.01
    rash: float = 0.04
    thorough: float = 0.0
    approvals: tuple[Verb, ...] = ()
    closes: bool = True
    reopens: bool = False
    scarce: float = 0.0
    pauses: float = 0.0
    selfish: float = 0.0
    stale: float = 0.0
    reforms: float = 0.0
    closed_period: Literal["first open day", "wait", "ask"] = "first open day"
    batch: int = 20
    slips: float = 0.0
    misread: bool = False
    instead: float = 0.0

    def policy(self, zone: str, differences: bool, confirmations: bool | None = None, yields: str = "") -> Policy:
        """What is activated in a plant of this zone, in the beginning or, with these, later."""
        return Policy(
            zone=zone,
            gather=self.gather,
            gather_silence_seconds=self.gather_silence_seconds,
            differences=differences,
            confirmations=self.confirmations if confirmations is None else confirmations,
            yield_operation=yields,
            closed_period=self.closed_period,
            approvals=self.approvals,
        )


PROFILES: Final[Mapping[str, Profile]] = {
    "calm": Profile(habits=Habits(), network=QUIET, erp={}, kills=0, stalls=0, by_hand=0, closes=False),
    "rough": Profile(),
    "unique": Profile(revenants=0.05, restarts=0.02),
    "askable": Profile(grade=Grade.ASKABLE, revenants=0.05, restarts=0.02),
    "blind": Profile(grade=Grade.BLIND, revenants=0.05, restarts=0.02),
    "reversals": Profile(differences=False, habits=Habits(corrected=0.25, cancelled=0.15), rash=0.2),
    "confirmed": Profile(confirmations=True),
    "undone": Profile(confirmations=True, differences=False, habits=Habits(corrected=0.25, cancelled=0.15)),
    "moved": Profile(reopens=True, erp=PUNCTUAL),
    "waiting": Profile(reopens=True, erp=PUNCTUAL, closed_period="wait"),
    "asking": Profile(reopens=True, erp=PUNCTUAL, closed_period="ask", differences=False),
    "desk": Profile(thorough=0.3, habits=Habits(unknown_orders=0.15, unknown_items=0.1)),
    "four eyes": Profile(grade=Grade.BLIND, thorough=0.2, approvals=("retry", "settle", "release"), closed_period="ask"),
    "gathered": Profile(gather="order", gather_silence_seconds=14_400),
    "scarce": Profile(scarce=0.5, by_hand=0, closes=False),
    "odd": Profile(network=Rates(misdated=0.15), stale=0.1),
    "piled up": Profile(pauses=0.05, habits=Habits(late_orders=0.5)),
    "cancelled": Profile(by_hand=0.15, erp={**ROUGH, Fault.DECLINED: 0.1, Fault.LOCKED: 0.1}),
    "two minds": Profile(approvals=("retry", "settle", "release"), selfish=0.3, thorough=0.2),
    "reformed": Profile(
        habits=Habits(corrected=0.3, cancelled=0.1, late_orders=0, moves=0, terms=0.15), network=Rates(delayed=0), reforms=0.05
    ),
    "misspoken": Profile(slips=0.2, thorough=0.1),
    "misread": Profile(misread=True, slips=0.05),
    "put right by reversals": Profile(slips=0.2, misread=True, differences=False),
    "put right by two": Profile(slips=0.2, approvals=("correct", "replay", "retry")),
    "booked instead": Profile(instead=0.2, thorough=0.2, erp={**ROUGH, Fault.DECLINED: 0.15}),
    "operations": Profile(gather="operation", gather_silence_seconds=7_200, confirmations=True),
}
"""The nights by name. "rough" is the usual one; "unique", "askable" and "blind" have all that each grade is promised to stand."""

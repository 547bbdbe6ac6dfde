"""Canonical events: what happened in a plant, in the past tense and in the words of ISA-95 (part 3 and 4) and B2MML.

Every struct here is the data of one CloudEvents type, its tag. A name exists only with its rule in `plant/`, its refusals
and its tests. Quantities carry units and times carry zones, or the event is refused where it enters.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from synchromesh.model.posting import Aware, Category, Line, Outcome, PostingKind
from synchromesh.model.quantity import Quantity

Name = Annotated[str, Meta(min_length=1, max_length=128)]
"""An identifier of a thing in some system: an item, an order, a lot, a location."""


Position = Annotated[int, Meta(gt=0, le=2**63 - 1)]
"""Where a message stands in its partition's log."""

Ordinal = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""Which one of those that a message has caused."""


Equipment = Annotated[str, Meta(max_length=128)]
"""A work centre: the production line, cell or unit at which something was done (B2MML's EquipmentID); '' where nobody says."""


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", gc=False):
    """What all canonical events share: they are frozen, refuse unknown fields, and carry their type as a tag."""


# --- production (ISA-95 part 4, production performance) ----------------------------------------------------------------


class OrderStarted(Event, frozen=True, tag="production.order.started"):
    """Work on an order began. Recorded only."""

    order: Name
    work_centre: Equipment = ""


class ProductionReported(Event, frozen=True, tag="production.reported"):
    """Output of an order or of one of its operations.

    Without `operation`, or at the order's yielding operation, `good` is the order's yield; elsewhere it is the operation's output only.
    `scrap` is lost wherever it is reported. `held` was made but may not be used before somebody decides (material review board); it goes to
    the plant's status for held goods. `rework` goes round again and changes no stock. Quantities are of this report, not totals.
    """

    order: Name
    operation: str = ""
    item: str = ""
    good: Quantity | None = None
    scrap: Quantity | None = None
    held: Quantity | None = None
    rework: Quantity | None = None
    lot: str = ""
    location: str = ""
    reason: str = ""
    labour_seconds: Annotated[int, Meta(ge=0)] = 0
    machine_seconds: Annotated[int, Meta(ge=0)] = 0
    consumed_lots: tuple[str, ...] = ()
    """Lots that went into this output, as `item/lot`: the genealogy's edges when consumption is not reported by lot."""
    work_centre: Equipment = ""


class MaterialConsumed(Event, frozen=True, tag="production.material.consumed"):
    """A component went into an order. `into_lot` names the output lot, when the plant knows it: a genealogy edge."""

    order: Name
    item: Name
    quantity: Quantity
    operation: str = ""
    lot: str = ""
    location: str = ""
    into_lot: str = ""
    work_centre: Equipment = ""


class ScrapRecorded(Event, frozen=True, tag="production.scrap.recorded"):
    """Output (no `item`, or the order's) or a component (its `item`) of an order was lost."""

    order: Name
    quantity: Quantity
    item: str = ""
    operation: str = ""
    lot: str = ""
    location: str = ""
    reason: str = ""
    work_centre: Equipment = ""


class TimeRecorded(Event, frozen=True, tag="production.time.recorded"):
    """Labour and machine time spent on an operation, in seconds."""

    order: Name
    operation: Name
    labour_seconds: Annotated[int, Meta(ge=0)] = 0
    machine_seconds: Annotated[int, Meta(ge=0)] = 0
    work_centre: Equipment = ""


class OperationCompleted(Event, frozen=True, tag="production.operation.completed"):
    """An operation of an order is done: gathers of this operation close."""

    order: Name
    operation: Name
    work_centre: Equipment = ""


class OrderCompleted(Event, frozen=True, tag="production.order.completed"):
    """The plant is done with an order: its gathers close and a completion follows. What comes later is supplementary."""

    order: Name
    work_centre: Equipment = ""


# --- inventory ---------------------------------------------------------------------------------------------------------


class MaterialTransferred(Event, frozen=True, tag="inventory.transferred"):
    """Stock moved within the plant, between locations, statuses, or both."""

    item: Name
    quantity: Quantity
    location: Name
    to_location: Name
    lot: str = ""
    status: str = ""
    to_status: str = ""
    owner: str = ""


class StockAdjusted(Event, frozen=True, tag="inventory.adjusted"):
    """Stock was found to be more (positive) or less (negative) by `quantity`. A reason is required."""

    item: Name
    quantity: Quantity
    location: Name
    reason: Name
    lot: str = ""
    status: str = ""
    owner: str = ""


class StockLine(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The balance of one place in a snapshot."""

    item: Name
    location: Name
    quantity: Quantity
    lot: str = ""
    status: str = ""
    owner: str = ""


class StockSnapshotTaken(Event, frozen=True, tag="inventory.snapshot"):
    """What a system of the plant (a WMS, a counting team) found in stock at one moment, to compare with. It moves nothing.

    Its lines are the places with stock. `locations` and `items` say what else it speaks of: a place there that no line names is empty. Both
    together mean these items at these locations; neither means that it speaks of its lines' places only. A large snapshot may come in
    several messages of one `as_of`.
    """

    system: Name
    as_of: Aware
    lines: tuple[StockLine, ...] = ()
    locations: tuple[Name, ...] = ()
    items: tuple[Name, ...] = ()


class StockObserved(Event, frozen=True, tag="inventory.observed"):
    """What the business system's books held when they were read, per place. From then on the booked ledger is known there.

    `items` names items that were read and may have no stock at all.
    """

    lines: tuple[StockLine, ...] = ()
    items: tuple[Name, ...] = ()


# --- master data and orders, from their systems of record -----------------------------------------------------------------


class AlternativeUnit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `unit` of the item is exactly `numerator / denominator` of its base unit: a box of 12 is 12/1, a third 1/3."""

    unit: Name
    numerator: Annotated[int, Meta(gt=0)]
    denominator: Annotated[int, Meta(gt=0)] = 1


class ItemChanged(Event, frozen=True, tag="master.item.changed"):
    """An item as its owner has it now. `decimals` is how finely ERP books it, in `unit`."""

    item: Name
    unit: Name
    description: str = ""
    decimals: Annotated[int, Meta(ge=0, le=9)] = 0
    alternatives: tuple[AlternativeUnit, ...] = ()
    lot_controlled: bool = False


class LocationChanged(Event, frozen=True, tag="master.location.changed"):
    """A place where stock can be."""

    location: Name
    description: str = ""


class Operation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One step of an order's routing. `yields` marks the step whose good output is the order's yield."""

    operation: Name
    description: str = ""
    yields: bool = False
    work_centre: Equipment = ""


class Component(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A component of an order: `quantity` for the whole order. `backflush`: ERP's plan issues it with the output, in proportion."""

    item: Name
    quantity: Quantity
    location: str = ""
    backflush: bool = False


class OrderChanged(Event, frozen=True, tag="order.changed"):
    """A production order as ERP has it now."""

    order: Name
    item: Name
    quantity: Quantity
    status: Literal["planned", "released", "completed", "closed", "cancelled"] = "released"
    operations: tuple[Operation, ...] = ()
    components: tuple[Component, ...] = ()
    location: str = ""
    """Where output is received when the report does not say."""
    work_centre: Equipment = ""
    """Where it is made, when neither the operation nor the report says."""


class PeriodChanged(Event, frozen=True, tag="master.period.changed"):
    """A posting period of ERP was opened or closed; both days belong to it."""

    first: date
    last: date
    open: bool


# --- corrections ----------------------------------------------------------------------------------------------------------


Correctable = ProductionReported | MaterialConsumed | ScrapRecorded | TimeRecorded | MaterialTransferred | StockAdjusted
"""Facts that can be corrected: those that book something."""


class FactCorrected(Event, frozen=True, tag="correction.corrected"):
    """The fact that `source` sent as `id` should have been `event`, and `more` besides. Books move by the difference, or by reversal and
    rebooking."""

    source: Name
    id: Name
    event: Correctable
    more: tuple[Correctable, ...] = ()


class FactCancelled(Event, frozen=True, tag="correction.cancelled"):
    """The fact that `source` sent as `id` did not happen."""

    source: Name
    id: Name
    reason: str = ""


PlantFact = (
    OrderStarted | ProductionReported | MaterialConsumed | ScrapRecorded | TimeRecorded | OperationCompleted | OrderCompleted
    | MaterialTransferred | StockAdjusted | StockSnapshotTaken | FactCorrected | FactCancelled
)  # fmt: skip
"""What is a fact of a plant."""


# --- from ERP: what others did there ------------------------------------------------------------------------------------------


class DocumentBooked(Event, frozen=True, tag="erp.document.booked"):
    """Somebody booked a document in ERP by hand: the booked ledger moves, the reported one does not."""

    document: Name
    kind: PostingKind
    lines: tuple[Line, ...]
    order: str = ""
    day: date | None = None
    """The day that it is booked on, where ERP tells."""


class DocumentCancelled(Event, frozen=True, tag="erp.document.cancelled"):
    """Somebody cancelled a document in ERP by hand. If it was ours its posting is reversed outside, with an exception."""

    document: Name


# --- of our own --------------------------------------------------------------------------------------------------------------


class OutcomesReported(Event, frozen=True, tag="synchromesh.outcomes"):
    """What a dispatcher learned of postings."""

    outcomes: tuple[Outcome, ...]


class Tick(Event, frozen=True, tag="synchromesh.tick"):
    """Time has reached `now`: silences and horizons are judged."""

    now: Aware


class Activated(Event, frozen=True, tag="synchromesh.activated"):
    """From this position on `name` of `kind` means `content`, whose SHA-256 is `digest`. Kinds: policy, adapter, plants, cursor (how far a
    business system's changes have been pulled), and copy (the log goes on from an older copy of itself: what came of the messages through
    the position that `content` names may have been sent since it was made)."""

    kind: Literal["policy", "adapter", "plants", "cursor", "copy"]
    name: Name
    digest: Name
    content: str


class Quarantined(Event, frozen=True, tag="synchromesh.quarantined"):
    """The message at `position` crashed the worker twice: it is set aside with an exception and never folded."""

    position: Position
    error: str


class InputEnded(Event, frozen=True, tag="synchromesh.input.ended"):
    """A source has nothing more for now (a file came to its end): gathers of its facts close."""

    source: Name
    name: str = ""


class Proposal(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A correction of stock at one place that would end a difference, in the unit of the place.

    `adjust` is what ERP shall book; `reported` and `booked` are what the two own ledgers take over. `seen` is how the ledgers stood: when
    they have moved since, the proposal fits no more.
    """

    item: Name
    location: Name
    unit: Name
    adjust: Decimal
    reported: Decimal
    booked: Decimal
    seen: str
    lot: str = ""
    status: str = ""
    owner: str = ""


class Difference(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One unexplained difference beyond tolerance: `name` is the same in every run that finds it; `amount` and `unit` where it is one of
    quantity."""

    name: str
    sentence: str
    amount: Decimal = Decimal(0)
    unit: str = ""
    proposal: Proposal | None = None


class Reconciled(Event, frozen=True, tag="synchromesh.reconciled"):
    """Books were compared at `at`: how many things were, in how many the unexplained difference was `beyond` the tolerance, and which."""

    scope: Literal["stock", "orders", "states"]
    at: Aware
    compared: Annotated[int, Meta(ge=0)]
    beyond: Annotated[int, Meta(ge=0)]
    scheduled: bool = False
    differences: tuple[Difference, ...] = ()
    """At most 1,000, the largest; `beyond` counts all."""


# --- decisions of people ------------------------------------------------------------------------------------------------------


class PostingRetried(Event, frozen=True, tag="decision.retried"):
    """A person fixed the cause: a rejected posting is sent again, unchanged, under a new key. With `last` what stands behind it in its
    lane goes first, but for the order's completion: so a reversal goes on whose stock only comes with what is booked in its place."""

    posting: Name
    by: Name
    last: bool = False


class DoubtSettled(Event, frozen=True, tag="decision.settled"):
    """A person looked: a posting in doubt is booked, under `document`, or (no document) is not."""

    posting: Name
    by: Name
    document: str = ""


class FactDismissed(Event, frozen=True, tag="decision.dismissed"):
    """A person decided that the fact at `position` shall not be booked, or those whose posting was sent again there as the `ordinal`-th. A
    reason is required."""

    position: Position
    by: Name
    reason: Name
    ordinal: Ordinal = 0


class FactRetried(Event, frozen=True, tag="decision.fact.retried"):
    """A person fixed the cause, or found that the fact is no repeat: the refused fact at `position` is told again, as it was."""

    position: Position
    by: Name


class FactRepaired(Event, frozen=True, tag="decision.fact.repaired"):
    """A person knows what the fact at `position` should have said: `event`. It becomes a correction, a fact of its own that names its
    cause; the original stays as it came. A reason is required."""

    position: Position
    by: Name
    reason: Name
    event: Correctable


class FactReplayed(Event, frozen=True, tag="decision.replayed"):
    """A person had the message at `position` mapped again: `mapping` (the SHA-256 of an adapter's content) makes these events of it, or
    keeps it by the rule `recorded` only. Where nothing of the fact was applied yet, this takes its place; else it is corrected, and the
    difference is booked. With `dismissed` also a fact that was dismissed is told. A reason is required."""

    position: Position
    by: Name
    reason: Name
    mapping: Name
    events: tuple[PlantFact, ...] = ()
    recorded: str = ""
    occurred: Aware | None = None
    dismissed: bool = False
    payload: Annotated[str, Meta(max_length=1_000_000)] = ""
    """What the message should have said, when it was not the mapping but the message that was wrong."""
    run: Annotated[str, Meta(max_length=128)] = ""
    """Which replay of a selection it is a part of: where a second person must approve, all of its parts are approved at once."""


class CauseReleased(Event, frozen=True, tag="decision.cause.released"):
    """A person put a cause right: everything that was refused with this category and subject is tried again, in its order."""

    category: Category
    subject: Name
    by: Name


class CauseDismissed(Event, frozen=True, tag="decision.cause.dismissed"):
    """A person decided that nothing that was refused with this category and subject shall be booked. A reason is required."""

    category: Category
    subject: Name
    by: Name
    reason: Name


class CauseAssigned(Event, frozen=True, tag="decision.cause.assigned"):
    """From now on `to` works on everything that is stopped by this category and subject now; '' for nobody in particular."""

    category: Category
    subject: Name
    by: Name
    to: Annotated[str, Meta(max_length=128)] = ""


class ExceptionsAssigned(Event, frozen=True, tag="decision.assigned"):
    """From now on `to` works on these exceptions, each named by its position and ordinal; '' for nobody in particular."""

    exceptions: Annotated[tuple[tuple[Position, Ordinal], ...], Meta(min_length=1, max_length=1000)]
    by: Name
    to: Annotated[str, Meta(max_length=128)] = ""


class DecisionApproved(Event, frozen=True, tag="decision.approved"):
    """A second person agrees with the decision proposed at `position`: it takes effect now, if it still fits."""

    position: Position
    by: Name


class DecisionDenied(Event, frozen=True, tag="decision.denied"):
    """A second person does not agree with the decision proposed at `position`: nothing comes of it. A reason is required."""

    position: Position
    by: Name
    reason: Name


class DifferenceAdjusted(Event, frozen=True, tag="decision.adjusted"):
    """A person approved a correction of stock that a reconciliation proposed: `proposal` is the position of the run and the number of the
    difference in it, as `POSITION:NUMBER`. It happens once, and only while the ledgers stand as they stood when it was proposed."""

    proposal: Name
    by: Name
    reason: str = ""


PlantEvent = PlantFact | InputEnded
"""What a source in a plant may tell."""

EnterpriseEvent = ItemChanged | LocationChanged | OrderChanged | PeriodChanged | DocumentBooked | DocumentCancelled | StockObserved
"""What a system of record may tell."""

Proposable = (
    PostingRetried | DoubtSettled | FactDismissed | FactRetried | FactRepaired | FactReplayed | CauseReleased | CauseDismissed
    | DifferenceAdjusted
)  # fmt: skip
"""What people decide. A plant's policy may want a second person for it."""

DecisionEvent = Proposable | ExceptionsAssigned | CauseAssigned | DecisionApproved | DecisionDenied
"""What people decide."""

OwnEvent = OutcomesReported | Tick | Activated | Quarantined | Reconciled
"""What only Synchromesh itself appends."""

CanonicalEvent = PlantEvent | EnterpriseEvent | DecisionEvent | OwnEvent

EXTERNAL: Final = PlantEvent | EnterpriseEvent
"""What an edge accepts from a source."""


def amount(value: str | int | Decimal, unit: str) -> Quantity:
    """A quantity in one word, for tests and generators."""
    return Quantity(Decimal(value), unit)

"""Which rule a plant's event has: what it requires before anything changes, and how it changes the view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from synchromesh.model import event as ev
from synchromesh.plant import corrections, inventory, production, snapshots
from synchromesh.plant.act import Act
from synchromesh.plant.view import View

# Each pair takes the event type that it stands under; a mapping from type to function can't say that to the type checker.
_Require = Callable[[View, Any], None]
_Apply = Callable[[View, Act, Any, int], None]

RULES: Final[dict[type[ev.Event], tuple[_Require, _Apply]]] = {
    ev.ProductionReported: (production.require_report, production.apply_report),
    ev.MaterialConsumed: (production.require_consumption, production.apply_consumption),
    ev.ScrapRecorded: (production.require_scrap, production.apply_scrap),
    ev.TimeRecorded: (production.require_known_order, production.apply_time),
    ev.OrderStarted: (production.require_nothing, production.apply_start),
    ev.OperationCompleted: (production.require_known_order, production.apply_operation_completed),
    ev.OrderCompleted: (production.require_all_told, production.apply_order_completed),
    ev.MaterialTransferred: (inventory.require_transfer, inventory.apply_transfer),
    ev.StockAdjusted: (inventory.require_adjustment, inventory.apply_adjustment),
    ev.StockSnapshotTaken: (snapshots.require, snapshots.apply),
    ev.InputEnded: (production.require_nothing, production.apply_input_ended),
}
"""The rules of events that stand for themselves; a correction runs the rule of what it corrects."""


def require(view: View, event: ev.CanonicalEvent) -> None:
    """Raise `Missing` or `Refused` when the event can't be folded now."""
    rule = RULES.get(type(event))
    if rule is not None:
        rule[0](view, event)
    else:
        assert isinstance(event, ev.FactCorrected | ev.FactCancelled), f"no rule for {type(event).__name__}"
        corrections.require(view, event, require)


def apply(view: View, act: Act, event: ev.CanonicalEvent, sign: int = 1) -> None:
    """Change the view as the event says; everything it requires is there."""
    rule = RULES.get(type(event))
    if rule is not None:
        rule[1](view, act, event, sign)
    else:
        assert isinstance(event, ev.FactCorrected | ev.FactCancelled), f"no rule for {type(event).__name__}"
        corrections.apply(view, act, event, apply)

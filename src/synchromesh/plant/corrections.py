"""Corrections: a fact that should have been another, or should not have been. The same rules run backwards and forwards again;
what was booked meanwhile is taken back by `postings`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from synchromesh.model import subject
from synchromesh.model.event import (
    CanonicalEvent,
    FactCancelled,
    FactCorrected,
    MaterialConsumed,
    MaterialTransferred,
    ProductionReported,
    ScrapRecorded,
    StockAdjusted,
    TimeRecorded,
)
from synchromesh.model.posting import Category
from synchromesh.plant import exceptions, waiting
from synchromesh.plant.act import Act, Missing, Refused
from synchromesh.plant.fates import Fate
from synchromesh.plant.rows import FactRow
from synchromesh.plant.view import View

decode_told: Final = msgspec.json.Decoder(tuple[CanonicalEvent, ...]).decode
CORRECTED: Final = "corrected by "
CANCELLED: Final = "cancelled by "
CORRECTABLE: Final = (ProductionReported, MaterialConsumed, ScrapRecorded, TimeRecorded, MaterialTransferred, StockAdjusted)

Apply = Callable[[View, Act, CanonicalEvent, int], None]
Require = Callable[[View, CanonicalEvent], None]


def original_of(view: View, event: FactCorrected | FactCancelled) -> FactRow:
    """The fact that is named, at its first telling. Raises `Missing` until it is told."""
    position = view.look((event.source, event.id))
    row = view.fact(position) if position is not None else None
    if row is None:
        raise Missing(subject.fact(event.source, event.id))
    return row


def require(view: View, event: FactCorrected | FactCancelled, rules: Require) -> None:
    row = original_of(view, event)
    if row.fate == Fate.DISMISSED and isinstance(event, FactCorrected):
        raise Refused(
            Category.INVALID,
            subject.fact(event.source, event.id),
            f"The fact was dismissed ({row.reference}), so what corrects it is not booked either.",
            "Dismiss this too, or report under an identity of its own what shall be booked.",
            row.order,
        )
    for each in current(view, row)[0]:
        if not isinstance(each, CORRECTABLE):
            raise Refused(
                Category.INVALID,
                subject.fact(event.source, event.id),
                f"A fact of type {row.type} can't be corrected or cancelled by a message.",
                "Correct it where it was booked, or dismiss this message.",
                row.order,
            )
        rules(view, each)
    if isinstance(event, FactCorrected):
        for each in replacing(event):
            rules(view, each)


def replacing(event: FactCorrected) -> tuple[CanonicalEvent, ...]:
    """What stands in the place of the corrected fact."""
    return event.event, *event.more


def understood(row: FactRow) -> bool:
    """Whether the canonical events of a fact are known: what the mapping refused has none."""
    try:
        return bool(decode_told(row.told))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def current(view: View, row: FactRow) -> tuple[tuple[CanonicalEvent, ...], int]:
    """What the fact says now, and the position at which that was applied: as told, or as last corrected; nothing once it was cancelled,
    refused or dismissed."""
    if row.fate not in (Fate.BOOKED, Fate.RECORDED) or row.reference.startswith(CANCELLED):
        return (), 0
    if row.reference.startswith(CORRECTED):
        correction = view.fact(int(row.reference.removeprefix(CORRECTED)))
        assert correction is not None, "a correction is a fact"
        told = decode_told(correction.told)
        events = tuple(new for each in told if isinstance(each, FactCorrected) for new in replacing(each))
        return events, correction.applied or correction.position
    if row.fate == Fate.RECORDED and not understood(row):
        return (), 0  # only kept, by a rule of its adapter
    return decode_told(row.told), row.applied or row.position


def apply(view: View, act: Act, event: FactCorrected | FactCancelled, rules: Apply) -> None:
    """Take back what the fact says now and, for a correction, tell the corrected event in its place."""
    row = original_of(view, event)
    act.original = row.group
    act.order = row.order
    act.rule = f"what it corrects ({event.source}/{event.id}) was not booked"
    if row.fate == Fate.DISMISSED:
        return
    events, act.as_of = current(view, row)
    for each in events:
        rules(view, act, each, -1)
    act.as_of = 0
    if row.fate == Fate.WAITING:
        waiting.dismissed(view, row)  # while it still says what it waits for
    if isinstance(event, FactCorrected):
        for each in replacing(event):
            rules(view, act, each, 1)
        row.reference = f"{CORRECTED}{act.position}"
    else:
        row.reference = f"{CANCELLED}{act.position}"
    if row.fate in (Fate.EXCEPTION, Fate.WAITING):
        view.move(Fate(row.fate), Fate.RECORDED, 1)
        row.fate = Fate.RECORDED
        exceptions.close(view, (row.position, 0))
    view.put_fact(row)

"""What a batch is about to need, so that it is loaded in a few statements and not one by one. A wrong guess costs time only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from synchromesh.model.event import CanonicalEvent, FactCancelled, FactCorrected, OutcomesReported
from synchromesh.plant import outcomes, stock
from synchromesh.plant.fact import Told
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import EntityKey, Identity, PostingId
from synchromesh.plant.view import View

_ALWAYS: Final = (("clock", ""), ("totals", ""), ("expected", ""), ("expected", outcomes.CANCELLED))
_NAMING: Final = (("order", "order"), ("item", "item"), ("location", "location"), ("location", "to_location"))
"""Kinds of entities, and the fields of events that name one."""

_named: Final[dict[type[CanonicalEvent], tuple[tuple[str, str], ...]]] = {}


def prefetch(view: View, batch: Sequence[Told]) -> None:
    """Load what the messages name, then what those things name in turn."""
    identities: dict[Identity, None] = {}
    postings: list[PostingId] = []
    names = dict.fromkeys(_ALWAYS)
    events: list[CanonicalEvent] = []
    for told in batch:
        if not told.own:
            identities[told.source, told.id] = None
        for event in told.events:
            if isinstance(event, OutcomesReported):
                postings += [id_of(outcome.key) for outcome in event.outcomes]
            elif isinstance(event, FactCorrected | FactCancelled):
                identities[event.source, event.id] = None
            else:
                events.append(event)
                for kind, field in _fields_of(event):
                    if name := getattr(event, field):
                        names[kind, name] = None
    view.prefetch(names, list(identities), postings)
    later: dict[EntityKey, None] = {}
    lots: dict[EntityKey, str] = {}
    for event in events:
        _places(view, event, later, lots)
    for id_ in postings:
        row = view.posting(id_)
        if row is not None:
            later["order" if row.order else "lane", row.order or row.lane] = None
            for key, _, _ in stock.effects(view, id_):
                later["stock", key] = None
    view.prefetch(later, [], ())
    # Only a lot that is new is entered among the items of its name.
    view.prefetch([("lot.items", lot) for key, lot in lots.items() if view.get(*key) is None], [], ())


def _fields_of(event: CanonicalEvent) -> tuple[tuple[str, str], ...]:
    """The kinds and fields by which events of this type name things."""
    type_ = type(event)
    known = _named.get(type_)
    if known is None:
        known = _named[type_] = tuple(each for each in _NAMING if each[1] in type_.__struct_fields__)
    return known


def _places(view: View, event: CanonicalEvent, later: dict[EntityKey, None], lots: dict[EntityKey, str]) -> None:
    """The item, lot and balance that an event is about, where its order says what it leaves out."""
    name = getattr(event, "order", "")
    order = view.order(name) if name else None
    item = getattr(event, "item", "") or (order.item if order is not None else "")
    if not item:
        return
    later["item", item] = None
    lot = getattr(event, "lot", "")
    if lot:
        later["lot", f"{item}/{lot}"] = None
        lots["lot", f"{item}/{lot}"] = lot
    location = getattr(event, "location", "") or (order.location if order is not None else "")
    later["stock", stock.place(item, location, lot)] = None

"""What a batch is about to need, so that it is loaded in a few statements and not one by one. A wrong guess costs time only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from synchromesh.model.event import CanonicalEvent, FactCancelled, FactCorrected, OrderChanged, OutcomesReported
from synchromesh.plant import outcomes, stock, waiting
from synchromesh.plant.fact import Told
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import Identity, PostingId
from synchromesh.plant.view import View

_NAMING: Final = (("order", "order"), ("item", "item"), ("location", "location"), ("location", "to_location"))
"""Kinds of entities, and the fields of events that name one."""

_Named = dict[str, dict[str, None]]
"""Names by kind."""


_ABOUT: Final = ("order", "item", "lot", "location")
"""The fields of events that say where they change something."""


def prefetch(view: View, batch: Sequence[Told]) -> None:
    """Load what the messages name, then what those things name in turn."""
    identities: dict[Identity, None] = {}
    postings: list[PostingId] = []
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
    view.prefetch("expected", ("", outcomes.CANCELLED))
    view.prefetch_rows(list(identities), postings)
    _load(view, _named(events))
    _load(view, _places(view, events))
    _load(view, _booked(view, postings))


def _load(view: View, named: _Named) -> None:
    for kind, names in named.items():
        view.prefetch(kind, names)


def _named(events: Iterable[CanonicalEvent]) -> _Named:
    """What the events name themselves."""
    named: _Named = {"order": {}, "item": {}, "location": {}, "list": {}}
    for event in events:
        if isinstance(event, OrderChanged):
            named["list"] |= dict.fromkeys(waiting.lists_for(event.order))
        for kind, field in _fields_of(type(event)):
            if name := getattr(event, field):
                named[kind][name] = None
    return named


@lru_cache
def _fields_of(type_: type[CanonicalEvent]) -> tuple[tuple[str, str], ...]:
    """The kinds and fields by which events of this type name things."""
    return tuple(each for each in _NAMING if each[1] in type_.__struct_fields__)


def _places(view: View, events: Iterable[CanonicalEvent]) -> _Named:
    """The items, lots and balances that the events are about, where their orders say what they leave out."""
    items: dict[str, None] = {}
    lots: dict[str, str] = {}
    places: dict[str, None] = {}
    newest: list[PostingId] = []
    for event in events:
        order_name, item, lot, location = _about(type(event))(event)
        order = view.order(order_name) if order_name else None
        if order is not None:
            item, location = item or order.item, location or order.location
            if not order.lane.queue and order.lane.last[0]:
                newest.append(order.lane.last)
        if item:
            items[item] = None
            places[stock.place(item, location, lot)] = None
            if lot:
                lots[f"{item}/{lot}"] = lot
    view.prefetch_outgoing(newest)
    view.prefetch("lot", lots)
    # Only a lot that is new is entered among the items of its name.
    return {"item": items, "stock": places, "lot.items": {lot: None for name, lot in lots.items() if view.lot(name) is None}}


@lru_cache
def _about(type_: type[CanonicalEvent]) -> Callable[[CanonicalEvent], tuple[str, str, str, str]]:
    """How an event of this type is asked for its order, item, lot and location."""
    if set(_ABOUT) <= set(type_.__struct_fields__):
        return attrgetter(*_ABOUT)
    return lambda event: (
        getattr(event, "order", ""),
        getattr(event, "item", ""),
        getattr(event, "lot", ""),
        getattr(event, "location", ""),
    )


def _booked(view: View, postings: Iterable[PostingId]) -> _Named:
    """What the outcomes of postings change: their balances, and lanes that know of them."""
    named: _Named = {"order": {}, "lane": {}, "stock": {}}
    for id_ in postings:
        row = view.posting(id_)
        if row is not None:
            if not row.alone:
                named["order" if row.order else "lane"][row.order or row.lane] = None
            for key, _, _ in stock.effects(view, id_):
                named["stock"][key] = None
    return named

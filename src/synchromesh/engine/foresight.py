"""What a batch is about to need, so that it is loaded in a few statements and not one by one. A wrong guess costs time only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synchromesh.model.event import FactCancelled, FactCorrected, OutcomesReported
from synchromesh.plant import outcomes, stock
from synchromesh.plant.fact import Told
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import EntityKey, Identity, PostingId
from synchromesh.plant.view import View


def prefetch(view: View, batch: Sequence[Told]) -> None:
    """Load what the messages name, then what those things name in turn."""
    identities: list[Identity] = []
    postings: list[PostingId] = []
    names: set[EntityKey] = {("clock", ""), ("totals", ""), ("expected", ""), ("expected", outcomes.CANCELLED)}
    for told in batch:
        if not told.own:
            identities.append((told.source, told.id))
        for event in told.events:
            if isinstance(event, OutcomesReported):
                postings += [id_of(outcome.key) for outcome in event.outcomes]
            elif isinstance(event, FactCorrected | FactCancelled):
                identities.append((event.source, event.id))
            else:
                names.update(_named(event))
    view.prefetch(names, list(dict.fromkeys(identities)), postings)
    later = {key for told in batch for event in told.events for key in _places(view, event)}
    for id_ in postings:
        row = view.posting(id_)
        if row is not None:
            later.add(("order", row.order) if row.order else ("lane", row.lane))
            later.update(("stock", key) for key, _, _ in stock.effects(view, id_))
    view.prefetch(later, [], ())


def _named(event: object) -> Iterator[EntityKey]:
    for kind, name in (("order", "order"), ("item", "item"), ("location", "location"), ("location", "to_location")):
        value = getattr(event, name, "")
        if value:
            yield kind, value


def _places(view: View, event: object) -> Iterator[EntityKey]:
    order = view.order(getattr(event, "order", "")) if getattr(event, "order", "") else None
    item = getattr(event, "item", "") or (order.item if order is not None else "")
    if not item:
        return
    yield "item", item
    lot = getattr(event, "lot", "")
    if lot:
        yield "lot", f"{item}/{lot}"
        yield "lot.items", lot
    location = getattr(event, "location", "") or (order.location if order is not None else "")
    yield "stock", stock.place(item, location, lot)

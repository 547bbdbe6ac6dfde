"""The rule of stock snapshots: what a system says is where, kept to be compared. No ledger moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from synchromesh.model.event import StockLine, StockSnapshotTaken
from synchromesh.model.instant import micros
from synchromesh.model.posting import Category
from synchromesh.model.unit import MissingConversion
from synchromesh.plant.act import Act, Refused
from synchromesh.plant.entities import SnapshotLine, SnapshotScope
from synchromesh.plant.postings import units_of
from synchromesh.plant.stock import SEPARATOR, named, place
from synchromesh.plant.view import AHEAD, View

KEPT: Final = "a snapshot of stock is kept to be compared"
REMEDY: Final = "Correct the snapshot in the system that sends it, and send it again under an identity of its own."


def line_name(key: str, system: str) -> str:
    """Under which name the line of a place (see `stock.place`) is kept: those of one item stand together."""
    return f"{key}{SEPARATOR}{system}"


def scope_name(system: str, location: str, item: str) -> str:
    """Under which name it is kept that a system spoke of all stock of an item ('' for any) at a location ('' for any)."""
    return f"{system}{SEPARATOR}{location}{SEPARATOR}{item}"


def place_of(line: StockLine) -> str:
    return place(line.item, line.location, line.lot, line.status, line.owner)


def require(view: View, event: StockSnapshotTaken) -> None:
    """A snapshot that can't be compared whole is refused whole: it would be stale when it went on."""
    if event.system == view.policy.target:
        raise _refused(Category.INVALID, event, "has the name of the plant's business system, whose books are asked for themselves")
    if micros(event.as_of) > view.clock().now + AHEAD:
        raise _refused(Category.INVALID, event, f"is of {event.as_of.isoformat()}, which is more than a day ahead")
    _load(view, event)
    seen: set[str] = set()
    for line in event.lines:
        key = place_of(line)
        if key in seen:
            raise _refused(Category.INVALID, event, f"names {named(key)} twice")
        seen.add(key)
        _require_line(view, event, line)
    for location in event.locations:
        _require_location(view, event, location)
    for item in event.items:
        if view.item(item) is None:
            raise _refused(Category.UNKNOWN_ITEM, event, f"names item {item}, which is not known")


def _load(view: View, event: StockSnapshotTaken) -> None:
    view.prefetch("item", {*event.items, *(line.item for line in event.lines)})
    view.prefetch("location", {*event.locations, *(line.location for line in event.lines)})


def _require_line(view: View, event: StockSnapshotTaken, line: StockLine) -> None:
    item = view.item(line.item)
    if item is None:
        raise _refused(Category.UNKNOWN_ITEM, event, f"names item {line.item}, which is not known")
    _require_location(view, event, line.location)
    try:
        units_of(item).factor(line.quantity.unit, item.unit)
    except MissingConversion:
        words = f"counts item {line.item} in {line.quantity.unit}, and nothing leads from that to {item.unit}"
        raise _refused(Category.MISSING_UNIT, event, words) from None


def _require_location(view: View, event: StockSnapshotTaken, name: str) -> None:
    if view.get("location", name) is None:
        raise _refused(Category.UNKNOWN_LOCATION, event, f"names location {name}, which is not known")


def _refused(category: Category, event: StockSnapshotTaken, words: str) -> Refused:
    return Refused(category, f"snapshot of {event.system}", f"The snapshot of {event.system} {words}.", REMEDY)


def apply(view: View, act: Act, event: StockSnapshotTaken, sign: int) -> None:
    """Keep what is newer than what the system said before."""
    as_of = micros(event.as_of)
    lines = {line_name(place_of(line), event.system): line for line in event.lines}
    view.prefetch("snapshot.line", lines)
    for name, line in lines.items():
        known = view.of(SnapshotLine, "snapshot.line", name)
        if known is None or known.as_of <= as_of:
            view.put("snapshot.line", name, SnapshotLine(line.quantity.amount, line.quantity.unit, as_of, view.position))
    scopes = list(_scopes(event))
    view.prefetch("snapshot.scope", scopes)
    for name in scopes:
        scope = view.of(SnapshotScope, "snapshot.scope", name)
        if scope is None or scope.as_of <= as_of:
            view.put("snapshot.scope", name, SnapshotScope(as_of, view.position))
    act.rule = KEPT


def _scopes(event: StockSnapshotTaken) -> Iterator[str]:
    locations: Iterable[str] = event.locations or (("",) if event.items else ())
    items: Iterable[str] = event.items or (("",) if event.locations else ())
    for location, item in product(locations, items):
        yield scope_name(event.system, location, item)

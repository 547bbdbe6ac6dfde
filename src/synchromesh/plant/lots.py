"""Lots and their genealogy: which lots went into which. A lot exists from its first mention on."""

from __future__ import annotations

from collections.abc import Iterable

from synchromesh.plant import paged
from synchromesh.plant.act import Act
from synchromesh.plant.entities import Lot, Names
from synchromesh.plant.view import View


def name(item: str, lot: str) -> str:
    """A lot is an item plus an own id."""
    return f"{item}/{lot}"


def used(view: View, act: Act, item: str, lot: str) -> Lot:
    """The fact is about this lot."""
    key = name(item, lot)
    known = view.lot(key)
    if known is None:
        known = Lot(item, lot)
        view.put("lot", key, known)
        view.made(Names, "lot.items", lot).names.append(item)
    act.lot = key
    return known


def made_from(view: View, act: Act, item: str, lot: str, parents: Iterable[str], sign: int) -> None:
    """The lot was made, from these parents as far as is known: one edge each, which stands as long as a fact tells of it."""
    known = used(view, act, item, lot)
    for parent in dict.fromkeys(parents):
        if parent != act.lot:
            view.touch("lot", act.lot)
            _tell(view, act.lot, known, parent, sign)


def _tell(view: View, key: str, known: Lot, parent: str, sign: int) -> None:
    """One fact more or less tells that the lot was made from this parent."""
    if parent not in known.parents:
        if sign > 0:
            known.parents, known.told = (*known.parents, parent), (*_told(known), 1)
            paged.append(view, "children:" + parent, key)
        return
    at, told = known.parents.index(parent), _told(known)
    if not told[at]:
        return
    count = told[at] + sign
    if count:
        known.told = (*told[:at], count, *told[at + 1 :])
        return
    known.parents, known.told = (*known.parents[:at], *known.parents[at + 1 :]), (*told[:at], *told[at + 1 :])
    paged.remove(view, "children:" + parent, key)


def _told(known: Lot) -> tuple[int, ...]:
    """How many facts tell of each parent; 0 where nobody knows, and then the edge stays."""
    return (0,) * (len(known.parents) - len(known.told)) + known.told

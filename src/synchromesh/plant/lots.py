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


def made_from(view: View, act: Act, item: str, lot: str, parents: Iterable[str]) -> None:
    """The lot was made, from these parents as far as is known: one edge each, noted once."""
    known = used(view, act, item, lot)
    for parent in parents:
        if parent not in known.parents and parent != act.lot:
            known.parents += (parent,)
            view.touch("lot", act.lot)
            paged.append(view, "children:" + parent, act.lot)

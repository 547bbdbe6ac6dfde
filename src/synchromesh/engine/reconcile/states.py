"""States: what the shop floor, ERP and other systems say of each order and lot, and where that does not agree.

Each system is a column by its name, so that one more system is one more column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from synchromesh.connectors.agreement import Balance as Told
from synchromesh.engine.reconcile.best import Best
from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.flow import Flow
from synchromesh.engine.reconcile.places import Scopes
from synchromesh.engine.reconcile.stock import Item, items_of
from synchromesh.engine.reconcile.views import StateRow
from synchromesh.model.posting import PostingKind
from synchromesh.plant.entities import Order, Pages
from synchromesh.plant.lanes import open_in
from synchromesh.plant.policy import Policy
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.waiting import WAITING

MES: Final = "MES"
"""The column of what the shop floor reports."""

_ORDER: Final = "order "
_RELEASE: Final = "release of order "
HEARD: Final = 15 * 60 * 1_000_000
"""So long after a document is booked, in microseconds, what ERP says of its order may still be on its way here: it is pulled from time to
time."""
LOOKED_BACK: Final = 16
"""Postings of a lane that are looked through for its completion, the newest first: corrections may stand behind it."""
USABLE: Final = "usable"
"""How the empty stock status is called."""


class Comparison:
    """Counts, and the most important rows: those that nothing explains first."""

    def __init__(self, books: OwnBooks, erp: str, best: Best[StateRow], now: int) -> None:
        """`now` is in microseconds."""
        self._books = books
        self._now = now
        self._erp = erp or "ERP"
        self._policy: Policy = books.policy()
        self.best = best
        self.compared = self.different = self.beyond = 0
        self.problems: list[str] = []

    def add(self, row: StateRow | None) -> None:
        """Count one thing that was compared, and keep its row where there is one."""
        self.compared += 1
        if row is not None:
            self.different += 1
            self.beyond += not row.explained
            self.best.add(row, (not row.explained,))

    # --- orders -------------------------------------------------------------------------------------------------------

    def orders(self, progress: Callable[[str, int], None]) -> None:
        """Orders that are known, then those that facts wait for."""
        told_done = self._tells_completions()
        for count, (name, order) in enumerate(self._books.each(Order, "order"), start=1):
            self.add(self._order(name, order, told_done))
            progress("orders", count)
        for name, pages in self._books.each(Pages, "list", WAITING):
            if not name.startswith(WAITING):
                return
            facts = pages.count - pages.gone
            if facts > 0:
                self._waited_for(name.removeprefix(WAITING), facts)

    def _tells_completions(self) -> bool:
        """Whether the shop floor ever says that an order is done: if not, its silence says nothing."""
        return any(order.completed for _, order in self._books.each(Order, "order"))

    def _order(self, name: str, order: Order, told_done: bool) -> StateRow | None:
        mes = "completed" if order.completed else "reporting" if order.last_fact else ""
        said = {MES: mes or "nothing", self._erp: order.status}
        if order.status == "cancelled" and mes:
            return StateRow(f"order {name}", said, f"ERP has cancelled order {name}, and the plant has reported to it.")
        if mes == "completed" and order.status in ("planned", "released"):
            sentence = f"The plant is done with order {name}, and in ERP it is {order.status}."
            return StateRow(f"order {name}", said, sentence, self._completion(order))
        if mes == "reporting" and order.status in ("completed", "closed"):
            open_ = self._open(order)
            if open_ or told_done:
                return StateRow(f"order {name}", said, f"ERP is done with order {name}, and the plant has not said that it is.", open_)
        return None

    def _completion(self, order: Order) -> str:
        """Why ERP does not say yet that an order is complete."""
        if order.completion:
            for id_ in open_in(order.lane, self._books.posting):
                row = self._books.posting(id_)
                if row is not None and row.kind == PostingKind.COMPLETION:
                    return f"its completion {row.key} is {row.state}"
            return self._just_booked(order)
        if not self._policy.completions or self._policy.booking == "record":
            return "the plant's policy tells ERP nothing of completions"
        return "its completion comes after what of it still waits" if order.waiting else ""

    def _just_booked(self, order: Order) -> str:
        """That ERP has booked the completion and what it says of the order since is not here yet; '' where it should be by now."""
        id_ = order.lane.last
        for _ in range(LOOKED_BACK):
            row = self._books.posting(id_) if id_[0] else None
            if row is None:
                return ""
            if row.kind == PostingKind.COMPLETION and row.state == "posted":
                fresh = self._now - row.settled < HEARD
                return f"its completion is booked as {row.document}, and ERP's word of it is on its way" if fresh else ""
            id_ = row.previous
        return ""

    def _open(self, order: Order) -> str:
        if on_the_way := open_in(order.lane, self._books.posting):
            return f"{len(on_the_way)} posting(s) of it are on their way or stuck"
        return f"{order.lane.gather.facts} fact(s) of it are gathered" if order.lane.gather is not None else ""

    def _waited_for(self, name: str, facts: int) -> None:
        if name.startswith(_RELEASE):
            order = name.removeprefix(_RELEASE)
            said = {MES: "reporting", self._erp: "planned"}
            sentence = f"The plant works on order {order}, which ERP has not released."
        elif name.startswith(_ORDER):
            order = name.removeprefix(_ORDER)
            said = {MES: "reporting", self._erp: "unknown"}
            sentence = f"The plant works on order {order}, which ERP does not know."
        else:
            return
        self.add(StateRow(f"order {order}", said, sentence, f"{facts} fact(s) wait for it"))

    # --- lots ---------------------------------------------------------------------------------------------------------

    def lots(self, told: Mapping[str, Told], scopes: Scopes, flow: Flow, progress: Callable[[str, int], None]) -> None:
        """Which status each system gives the stock of each lot."""
        for count, item in enumerate(items_of(self._books, told), start=1):
            for lot, said in sorted(self._statuses(item, scopes).items()):
                self.add(self._lot(item.name, lot, said, flow))
            progress("items", count)

    def _statuses(self, item: Item, scopes: Scopes) -> dict[str, dict[str, set[str]]]:
        """By lot and system, the statuses that it has stock in."""
        found: dict[str, dict[str, set[str]]] = {}
        for key, told in item.told.items():
            if told.lot and told.quantity.amount:
                found.setdefault(told.lot, {}).setdefault(self._erp, set()).add(_status(key))
        for (key, system), line in item.lines.items():
            _, location, lot, _, _ = key.split(SEPARATOR)
            if lot and line.amount and line.as_of >= scopes.covers(system, item.name, location):
                found.setdefault(lot, {}).setdefault(system, set()).add(_status(key))
        return found

    def _lot(self, item: str, lot: str, statuses: Mapping[str, set[str]], flow: Flow) -> StateRow | None:
        said = {system: ", ".join(sorted(found)) for system, found in statuses.items()}
        if len(set(said.values())) < 2:
            return None
        words = " and ".join(f"{state} in {system}" for system, state in said.items())
        moving = any(_of_lot(key, item, lot) for key in (*flow.certain, *flow.perhaps))
        explained = "postings of it are on their way or stuck" if moving else ""
        return StateRow(f"lot {item}/{lot}", said, f"Lot {lot} of item {item} is {words}.", explained)


def _status(key: str) -> str:
    return key.split(SEPARATOR)[3] or USABLE


def _of_lot(key: str, item: str, lot: str) -> bool:
    parts = key.split(SEPARATOR)
    return parts[0] == item and parts[2] == lot


def systems(rows: Iterator[StateRow]) -> list[str]:
    """Every column that any row has, in the order in which they come first."""
    return list(dict.fromkeys(system for row in rows for system in row.said))

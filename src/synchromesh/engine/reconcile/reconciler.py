"""The reconciler: every comparison of a plant's books, on demand and kept, and what is kept of them.

The page, the API, the command line and the schedule all ask here. Corrections that it proposes are approved at the desk, as all decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date, datetime
from typing import Final, Literal, Protocol

import msgspec

from synchromesh.engine.reconcile import orders, period, proposing, states, stock
from synchromesh.engine.reconcile.ask import Connect, System, asking
from synchromesh.engine.reconcile.best import Best
from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.documents import name_documents
from synchromesh.engine.reconcile.flow import read as read_flow
from synchromesh.engine.reconcile.places import Scopes
from synchromesh.engine.reconcile.stock import Progress, in_reach
from synchromesh.engine.reconcile.views import (
    DifferenceView,
    Kept,
    OrderRow,
    PeriodView,
    Report,
    RunView,
    StateRow,
    StockRow,
)
from synchromesh.log.agreement import Log
from synchromesh.model.event import Proposal, Reconciled
from synchromesh.model.instant import micros, moment
from synchromesh.model.message import OWN, Message
from synchromesh.model.quantity import exactly
from synchromesh.plant import reconciling
from synchromesh.plant.entities import Clock, Found, Reconciliation, SnapshotScope
from synchromesh.plant.reconciling import SCOPES
from synchromesh.plant.stock import SEPARATOR
from synchromesh.state.agreement import Reading

Scope = Literal["stock", "orders", "states"]
ROWS: Final = 1_000
"""How many rows a report has at the most, and a kept run differences."""

SOURCE: Final = "synchromesh/reconciliation"
"""The source of the messages that keep runs."""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_proposal: Final = msgspec.json.Decoder(Proposal).decode


class Unknown(LookupError):
    """There is no such plant or scope. The text says what there is."""


def _quietly(_what: str, _done: int) -> None:
    """Nobody watches."""


class _Counted(Protocol):
    compared: int
    different: int
    beyond: int
    problems: list[str]


class Reconciler:
    """Compares the books of `plants`, each with the name of its business system, which `connect` reaches. `log` keeps what is decided."""

    def __init__(self, plants: Mapping[str, str], reading: Reading, log: Log, connect: Connect, *, now: Callable[[], datetime]) -> None:
        self._plants = dict(plants)
        self._reading = reading
        self._log = log
        self._connect = connect
        self._now = now

    @property
    def plants(self) -> tuple[str, ...]:
        return tuple(self._plants)

    def _books(self, plant: str) -> OwnBooks:
        if plant not in self._plants:
            raise Unknown(f"there is no plant {plant[:64]!r}; there are {', '.join(self._plants)}")
        return OwnBooks(self._reading, plant)

    # --- comparing ----------------------------------------------------------------------------------------------------

    async def compare(self, scope: str, plant: str, *, progress: Progress = _quietly) -> Report:
        """Compare now. Raises `Unknown`, `StateError`, and `ConnectorError` when the business system can't be asked."""
        books = self._books(plant)
        if scope not in SCOPES:
            raise Unknown(f"there is no reconciliation of {scope[:64]!r}; there are {', '.join(SCOPES)}")
        async with AsyncExitStack() as stack:
            system = await stack.enter_async_context(asking(self._connect, self._plants[plant], self._reading, self._log))
            stack.enter_context(exactly())
            match scope:
                case "stock":
                    return await self._stock(books, system, progress)
                case "orders":
                    return await self._orders(books, system, progress)
                case _:
                    return await self._states(books, system, progress)

    async def _stock(self, books: OwnBooks, system: System, progress: Progress) -> Report:
        best: Best[StockRow] = Best(ROWS)
        others = [OwnBooks(self._reading, name) for name, erp in self._plants.items() if erp == system.name and name != books.plant]
        done = await stock.compare(books, system if system.tells_stock else None, others, best, progress)
        if not system.tells_stock:
            done.problems.append(f"{system.name} does not tell what stock it has")
        rows = proposing.propose(books, name_documents(books, best.rows()), system.name)
        return self._report(books, "stock", done, stock=tuple(self._aged(books, rows)), more=best.more)

    def _aged(self, books: OwnBooks, rows: Sequence[StockRow]) -> list[StockRow]:
        since = _ages(books, "stock", [stock_name(row) for row in rows])
        return [msgspec.structs.replace(row, since=since.get(stock_name(row))) for row in rows]

    async def _orders(self, books: OwnBooks, system: System, progress: Progress) -> Report:
        best: Best[OrderRow] = Best(ROWS)
        strangers = sum(erp == system.name for erp in self._plants.values()) == 1
        done = await orders.compare(books, system, best, progress, strangers=strangers)
        since = _ages(books, "orders", [order_name(row) for row in best.rows()])
        rows = tuple(msgspec.structs.replace(row, since=since.get(order_name(row))) for row in best.rows())
        return self._report(books, "orders", done, orders=rows, more=best.more)

    async def _states(self, books: OwnBooks, system: System, progress: Progress) -> Report:
        best: Best[StateRow] = Best(ROWS)
        done = states.Comparison(books, system.name, best, micros(self._now()))
        told = in_reach(books, await system.stock()) if system.tells_stock else {}
        done.orders(progress)
        done.lots(told, Scopes(books.each(SnapshotScope, "snapshot.scope")), read_flow(books), progress)
        since = _ages(books, "states", [row.about for row in best.rows()])
        rows = tuple(msgspec.structs.replace(row, since=since.get(row.about)) for row in best.rows())
        return self._report(books, "states", done, states=rows, more=best.more)

    def _report(
        self, books: OwnBooks, scope: str, done: _Counted, *, more: int, stock: tuple[StockRow, ...] = (),
        orders: tuple[OrderRow, ...] = (), states: tuple[StateRow, ...] = (),
    ) -> Report:  # fmt: skip
        problems = tuple(done.problems[:20])
        if len(done.problems) > len(problems):
            problems += (f"and {len(done.problems) - len(problems):,} more like these",)
        return Report(books.plant, scope, self._now(), done.compared, done.different, done.beyond, stock, orders, states, more, problems)

    def period(self, plant: str, first: date, last: date) -> PeriodView:
        """What must still be booked before a period can be closed. Raises `Unknown`, `PeriodError`, `StateError`."""
        with exactly():
            return period.look(self._books(plant), first, last)

    # --- keeping ------------------------------------------------------------------------------------------------------

    async def run(self, scope: str, plant: str, *, scheduled: bool = False, progress: Progress = _quietly) -> Report:
        """Compare and keep what was found, by a message in the plant's log. Raises as `compare`, and `LogError`."""
        report = await self.compare(scope, plant, progress=progress)
        event = Reconciled(
            _scope(scope), report.at, report.compared, report.beyond, scheduled, proposing.differences(self._books(plant), report)
        )
        message = Message(plant, SOURCE, f"{scope}:{report.at.isoformat()}", OWN, report.at, _encode(event))
        (position,) = await asyncio.to_thread(self._log.append, [message])
        return msgspec.structs.replace(report, kept=position)

    def begun(self, plant: str) -> bool:
        """Whether there is something to compare: ERP's stock was read once, or ERP books the plant by itself."""
        books = self._books(plant)
        clock = books.one(Clock, "clock", "")
        return clock is not None and (clock.observed or books.policy().booking == "record")

    def last_run(self, scope: str, plant: str) -> datetime | None:
        """When the last kept run was that the schedule made; None before the first."""
        known = self._books(plant).one(Reconciliation, "reconciliation", scope)
        runs = [run for run in known.runs if run.scheduled] if known is not None else []
        return moment(runs[-1].at) if runs else None

    def kept(self, plant: str) -> Kept:
        """The runs that are kept, and the differences that stand, each with its age. Raises `Unknown`, `StateError`."""
        books = self._books(plant)
        runs: list[RunView] = []
        differences: list[DifferenceView] = []
        for scope in SCOPES:
            known = books.one(Reconciliation, "reconciliation", scope)
            if known is not None:
                runs += [
                    RunView(scope, run.position, moment(run.at), run.compared, run.beyond, run.anew, run.scheduled) for run in known.runs
                ]
                found = books.some(Found, "difference", list(known.found))
                numbered = [(number, found[name]) for number, name in enumerate(known.found, start=1) if name in found]
                differences += [_difference(scope, number, each) for number, each in numbered]
        return Kept(plant, tuple(sorted(runs, key=lambda run: run.position, reverse=True)), tuple(differences))


def _scope(scope: str) -> Scope:
    assert scope in SCOPES, "compared already"
    return scope  # type: ignore[return-value]  # one of the three


def stock_name(row: StockRow) -> str:
    return proposing.stock_name(row)


def order_name(row: OrderRow) -> str:
    return proposing.order_name(row)


def _ages(books: OwnBooks, scope: str, names: list[str]) -> dict[str, datetime]:
    """Since when the kept runs know these differences."""
    found = books.some(Found, "difference", [reconciling.name_of(scope, name) for name in names])
    return {name.partition(SEPARATOR)[2]: moment(each.since) for name, each in found.items() if not each.decided}


def _difference(scope: str, number: int, found: Found) -> DifferenceView:
    words = reconciling.in_words(_proposal(found.proposal)) if found.proposal else ""
    decision = f"approved at {found.decided}" if found.decided else "did not fit any more" if found.stale else ""
    return DifferenceView(
        scope,
        found.sentence,
        moment(found.since),
        found.amount,
        found.unit,
        f"{found.position}:{number}" if words else "",
        words,
        decision,
        found.by,
    )

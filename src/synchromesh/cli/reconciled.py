"""How a terminal shows reconciliations: the same views as the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from synchromesh.engine.reconcile.split import Part, Share
from synchromesh.engine.reconcile.views import Kept, OrderRow, PeriodView, Report, StateRow, StockRow
from synchromesh.model.quantity import plain


def report_view(report: Report, explained: bool) -> RenderableType:
    """A report: what differs beyond the tolerance, and with `explained` everything that differs."""
    head = (
        f"{report.plant}, {report.scope}: {report.compared:,} compared, {report.different:,} different, {report.beyond:,} beyond tolerance"
    )
    lines: list[RenderableType] = [Text(head, "bold red" if report.beyond else "bold green")]
    stock = [row for row in report.stock if explained or row.beyond]
    orders = [row for row in report.orders if explained or row.beyond]
    states = [row for row in report.states if explained or not row.explained]
    if stock:
        lines.append(_stock(stock))
    if orders:
        lines.append(_orders(orders))
    if states:
        lines.append(_states(states))
    if report.more:
        lines.append(Text(f"and {report.more:,} more that differ less", "bright_black"))
    lines += [Text(f"not compared: {problem}", "yellow") for problem in report.not_compared]
    return Group(*lines)


def _stock(rows: Sequence[StockRow]) -> Table:
    table = _table("system", "item", "location", "lot", "status", "owner", "theirs", "reported", "booked", "difference", "why", "since")
    for row in rows:
        numbers = [_amount(each) for each in (row.theirs, row.reported, row.booked, row.difference)]
        where = (row.system, row.item, row.location or "anywhere", row.lot, row.status, row.owner)
        table.add_row(*map(Text, where), *numbers, _why(row.parts, row.unit, row.sure), _since(row.since))
    return table


def _orders(rows: Sequence[OrderRow]) -> Table:
    table = _table("order", "kind", "item", "reported", "posted", "outside", "ERP", "difference", "why", "since")
    for row in rows:
        erp = _amount(row.erp) if row.erp is not None else "by documents"
        numbers = (_amount(row.reported), _amount(row.posted), _amount(row.outside), erp, _amount(row.difference))
        table.add_row(Text(row.order), row.kind, Text(row.item), *numbers, _why(row.parts, row.unit, row.sure), _since(row.since))
    return table


def _states(rows: Sequence[StateRow]) -> Table:
    systems = list(dict.fromkeys(system for row in rows for system in row.said))
    table = _table("about", *systems, "why", "since")
    for row in rows:
        said = [Text(row.said.get(system, "")) for system in systems]
        table.add_row(Text(row.about), *said, Text(f"{row.sentence} {row.explained}".rstrip()), _since(row.since))
    return table


def kept_view(kept: Kept) -> RenderableType:
    """The runs that are kept, and the differences that stand."""
    table = _table("scope", "at", "position", "compared", "beyond", "new", "by")
    for run in kept.runs[:20]:
        by = "schedule" if run.scheduled else "demand"
        table.add_row(run.scope, _since(run.at), str(run.position), f"{run.compared:,}", f"{run.beyond:,}", f"{run.anew:,}", by)
    lines: list[RenderableType] = [Text(kept.plant, "bold"), table]
    for each in kept.differences:
        lines.append(Text(f"since {_since(each.since)}: {each.sentence}"))
        if each.proposal:
            lines.append(Text(f"  proposal {each.proposal}: {each.words} {each.decision}".rstrip(), "cyan"))
    return Group(*lines)


def period_view(period: PeriodView) -> RenderableType:
    """What stands before the close of a period."""
    head = f"{period.plant}, {period.first} to {period.last}"
    if period.can_be_closed:
        return Text(f"{head}: nothing is left to book, it can be closed", "bold green")
    table = _table("what", "kind", "state", "count", "amounts", "first day", "why")
    for row in period.rows:
        amounts = ", ".join(f"{plain(amount)} {unit}" for unit, amount in row.amounts.items())
        table.add_row(
            row.sort, row.kind, row.state, f"{row.count:,}", Text(amounts), row.first, Text("\n".join(dict.fromkeys(row.exceptions)))
        )
    return Group(Text(f"{head}: it can't be closed yet", "bold red"), table)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    return table


_NUMBERS = frozenset({"theirs", "reported", "booked", "posted", "outside", "ERP", "difference", "compared", "beyond", "new", "count"})


def _why(parts: Sequence[Share], unit: str, sure: bool) -> Text:
    text = Text("\n").join(_shares(parts, unit))
    return text if sure else text.append("\nsomething was moving while it was asked", "bright_black")


def _shares(parts: Sequence[Share], unit: str) -> Iterator[Text]:
    for share in parts:
        if share.amount or share.part is not Part.UNEXPLAINED:
            causes = [f"{cause.what} {cause.reference}".rstrip() for cause in share.causes[:2]]
            more = share.more + len(share.causes) - len(causes)
            behind = f" ({', '.join(causes)}{f' and {more} more' if more else ''})" if causes else ""
            yield Text(f"{plain(share.amount)} {unit} {share.part}{behind}", "red" if share.part is Part.UNEXPLAINED else "")


def _amount(amount: Decimal) -> str:
    return plain(amount)


def _since(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment is not None else ""

"""How a terminal shows the exception queue, decisions and what they would change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from synchromesh.cli.show import story_view
from synchromesh.engine.desk import Decided
from synchromesh.engine.foreseen import ForeseenPosting
from synchromesh.engine.preview import Preview
from synchromesh.engine.views import AuditView, CauseView, ExceptionView, ProposalView, Story


def causes_view(causes: Sequence[CauseView]) -> RenderableType:
    """What waits for a person, by the thing to be fixed."""
    if not causes:
        return Text("Nothing waits for a person.", "green")
    table = _table("cause", "exceptions", "facts", "orders", "plants", "work centres", "since", "owner")
    for each in causes:
        working = [f"{one.verb}: {one.left:,} left at {one.plant}" for one in each.releasing]
        table.add_row(
            Text(f"{each.category}: {each.subject}", "red" if each.late else "bold"),
            *(f"{number:,}" for number in (each.exceptions, each.facts, each.orders)),
            ", ".join(each.plants),
            ", ".join(each.work_centres),
            f"{each.oldest:%Y-%m-%d %H:%M}" + (" (late)" if each.late else ""),
            each.owner,
        )
        table.add_row(Text("  " + " ".join(filter(None, (each.sentence, each.remedy, *working))), "bright_black"), *[""] * 7)
    return table


def exceptions_view(found: Sequence[ExceptionView]) -> RenderableType:
    """Single exceptions, a row each."""
    if not found:
        return Text("There is none.", "green")
    table = _table("id", "state", "category", "work centre", "order", "since", "what", "for")
    for each in found:
        table.add_row(
            each.id,
            each.state,
            each.category,
            each.work_centre,
            each.order,
            f"{each.opened:%Y-%m-%d %H:%M}" + (" (late)" if each.late else ""),
            f"{each.sentence} {each.remedy}".rstrip(),
            each.assigned or each.owner,
        )
    return table


def shown_view(view: ExceptionView, stories: Iterable[Story]) -> RenderableType:
    """One exception with its history and the facts that it holds up."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bright_black")
    grid.add_column()
    for name, value in _about(view):
        grid.add_row(name, Text(value))
    return Group(Text(f"{view.category}: {view.subject}", "bold red" if view.late else "bold"), grid, *map(story_view, stories))


def _about(view: ExceptionView) -> Iterator[tuple[str, str]]:
    yield "exception", f"{view.id}, {view.state}" + (f", {view.assigned} works on it" if view.assigned else "")
    yield "what", view.sentence
    if view.remedy:
        yield "what to do", view.remedy
    if view.detail:
        yield "ERP's words", view.detail
    yield "owner", f"{view.owner}, by {view.due:%Y-%m-%d %H:%M}" + (" (late)" if view.late else "")
    yield "holds up", f"{view.facts:,} fact{'s' if view.facts != 1 else ''}" + (f" of order {view.order}" if view.order else "")
    if view.work_centre:
        yield "work centre", view.work_centre
    yield "since", f"{view.opened:%Y-%m-%d %H:%M}"
    if view.posting:
        yield "posting", view.posting
    for each in view.history:
        yield f"{each.at:%Y-%m-%d %H:%M}", f"{each.by} {each.what}"


def proposals_view(found: Sequence[ProposalView]) -> RenderableType:
    """Decisions that wait for a second person."""
    if not found:
        return Text("No decision waits for a second person.", "green")
    table = _table("plant", "position", "decision", "about", "by", "since", "what")
    for each in found:
        table.add_row(each.plant, str(each.position), each.verb, each.about, each.by, f"{each.at:%Y-%m-%d %H:%M}", each.words)
    return table


def audit_view(found: Sequence[AuditView]) -> RenderableType:
    """What people decided, and what came of it."""
    table = _table("at", "plant", "position", "by", "decision", "came of it", "what")
    for each in found:
        table.add_row(f"{each.at:%Y-%m-%d %H:%M:%S}", each.plant, str(each.position), each.by, each.verb, each.came_of, each.words)
    return table


def decided_view(decided: Sequence[Decided]) -> RenderableType:
    """What was decided in each plant, or would be."""
    parts: list[RenderableType] = []
    for each in decided:
        parts += [Text(f"{each.plant}: {warning}", "yellow") for warning in each.warnings]
        parts += foreseen_view(each.foreseen) if each.foreseen is not None else [Text(_came_of(each))]
    return Group(*parts)


def _came_of(each: Decided) -> str:
    words = {
        "done": f"{each.verb}: done",
        "stale": f"{each.verb}: it fits no more, nothing was changed",
        "proposed": f"{each.verb}: proposed; a second person approves it with `exceptions approve {each.plant} {each.position}`",
    }
    return f"{each.plant}: " + words.get(
        each.came_of, f"{each.verb}: stored at {each.position}; it takes effect when the worker comes to it"
    )


def foreseen_view(foreseen: Preview) -> list[RenderableType]:
    """What would change, in words."""
    parts: list[RenderableType] = [Text(f"{foreseen.partition}: nothing is changed now; this would happen:", "bold")]
    for word, listed in (("made", foreseen.made), ("given up", foreseen.given_up), ("changed", foreseen.changed)):
        if listed.count:
            parts.append(Text(f"  {listed.count:,} posting{'s' if listed.count != 1 else ''} {word}"))
            parts += [Text("    " + foreseen_posting(one)) for one in listed.first]
            if listed.count > len(listed.first):
                parts.append(Text(f"    and {listed.count - len(listed.first):,} more"))
    parts += [Text(f"  facts {fate}: {count.before:,} → {count.after:,}") for fate, count in foreseen.fates.items()]
    if foreseen.exceptions.before != foreseen.exceptions.after:
        parts.append(Text(f"  open exceptions: {foreseen.exceptions.before:,} → {foreseen.exceptions.after:,}"))
    parts += [Text(f"  opened: {one.category}: {one.sentence}", "red") for one in foreseen.opened.first]
    if foreseen.nothing:
        parts.append(Text("  nothing"))
    return parts


def foreseen_posting(one: ForeseenPosting) -> str:
    about = f" for order {one.order}" if one.order else ""
    waits = f", waits for {one.waits_for}" if one.waits_for else ""
    return f"{one.kind}{about} on {one.effective}: {'; '.join(one.lines) or 'no lines'} ({one.state}{waits})"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in ("exceptions", "facts", "orders", "position") else "left")
    return table

"""How a terminal shows the whole and one fact's story: the same views as the page, in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from synchromesh.engine.views import FactView, PostingView, Story, Summary, Trace

COLOURS: Final = {
    "booked": "green",
    "booking": "blue",
    "gathered": "cyan",
    "recorded": "white",
    "duplicate": "bright_black",
    "waiting": "yellow",
    "exception": "red",
    "dismissed": "magenta",
}
"""Colour of each fate; the page uses the same."""


def summary_view(summary: Summary) -> RenderableType:
    """The whole at one moment: facts by fate, rates, latency, what waits and what is open."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="bold")
    grid.add_column()
    grid.add_row(f"{summary.facts:,}", Text("facts, every one accounted for" if not summary.unaccounted else "facts"))
    if summary.unaccounted:
        grid.add_row(f"{summary.unaccounted:,}", Text("without exactly one fate", "bold red"))
    for fate in [*COLOURS, *sorted(set(summary.fates) - set(COLOURS))]:
        if count := summary.fates.get(fate):
            grid.add_row(f"{count:,}", Text(fate, COLOURS.get(fate, "")))
    grid.add_row(f"{summary.documents:,}", "documents in ERP")
    grid.add_row(f"{summary.waiting:,}", "postings waiting")
    grid.add_row(f"{summary.exceptions:,}", Text("exceptions for a person", "red" if summary.exceptions else ""))
    return Group(grid, Text(_rates(summary), "bright_black"), *_systems(summary))


def trace_view(trace: Trace) -> RenderableType:
    """All stories that a search found, newest first; or that nothing was found."""
    if not trace.stories:
        return Text(f"Nothing is known of “{trace.query}”: no order, lot, message or document has this name.")
    count = f"{'the newest ' if trace.more else ''}{len(trace.stories):,} {'fact' if len(trace.stories) == 1 else 'facts'}"
    head = Text(f"{count} of {' and '.join(trace.matched)} {trace.query}", "bold")
    return Group(head, *map(story_view, trace.stories))


def story_view(story: Story) -> RenderableType:
    """One fact from message to document."""
    tree = Tree(_fact_line(story.fact))
    message = story.message
    size = f", {message.size:,} bytes" if message.size else ""
    tree.add(
        Text(f"message {story.fact.id} of {story.fact.source}, {message.interface}{size}, at {story.fact.plant} {story.fact.position}")
    )
    for event in story.events:
        rest = ", ".join(f"{name} {_plain(value)}" for name, value in event.items() if name != "type")
        tree.add(Text(f"event {event.get('type', '')}: {rest}"))
    for posting in story.postings:
        _posting(tree.add(Text(f"posting {posting.kind} in {posting.target}: {posting.state}")), posting)
    for view in story.exceptions:
        is_open = view.state == "open"
        words = f"exception {view.category}: {view.sentence}" + ("" if is_open else f" ({view.state})")
        tree.add(Text(words, "red" if is_open else "bright_black")).add(Text(view.remedy or view.state))
    for words, places in (("comes from", story.caused_by), ("led to", story.led_to)):
        for place in places:
            tree.add(Text(f"{words} {place}", "bright_black"))
    return tree


def _posting(branch: Tree, posting: PostingView) -> None:
    for line in posting.lines:
        branch.add(Text(line))
    if posting.facts > 1:
        branch.add(Text(f"books {posting.facts:,} facts", "bright_black"))
    if posting.waits_for:
        branch.add(Text(f"waits for {posting.waits_for}", "yellow"))
    if posting.sentence:
        branch.add(Text(f"{posting.sentence} {posting.remedy}".rstrip(), "red"))
    if posting.document is not None:
        branch.add(Text(f"document {posting.document.number}", "green"))


def _fact_line(fact: FactView) -> str:
    colour = COLOURS.get(fact.fate, "bold")
    reference = f" {escape(fact.reference)}" if fact.reference else ""
    return f"{fact.received:%Y-%m-%d %H:%M:%S} [bold]{escape(fact.type)}[/] [{colour}]{escape(fact.fate)}[/]{reference}"


def _rates(summary: Summary) -> str:
    parts = []
    if summary.received_rate is not None:
        parts.append(f"{summary.received_rate:,.0f} facts/s in")
    if summary.settled_rate is not None:
        parts.append(f"{summary.settled_rate:,.0f} postings/s settled")
    if summary.latency is not None:
        parts.append(f"arrival to outcome p50 {summary.latency.p50:,.1f} ms, p99 {summary.latency.p99:,.1f} ms")
    return " · ".join(parts)


def _systems(summary: Summary) -> Iterator[Text]:
    for system in summary.systems:
        answers = "" if system.reachable else ", does not answer"
        yield Text(f"{system.name}: grade {system.grade}, {system.waiting:,} waiting{answers}", "" if system.reachable else "red")


def _plain(value: object) -> str:
    if isinstance(value, dict) and set(value) == {"amount", "unit"}:
        return f"{value['amount']} {value['unit']}"
    return str(value)

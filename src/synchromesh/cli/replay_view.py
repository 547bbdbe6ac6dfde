"""How a terminal shows a replay and a rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from synchromesh.cli.queue_view import foreseen_posting, foreseen_view
from synchromesh.engine.foreseen import ForeseenException, ForeseenStock, Listed
from synchromesh.engine.rehearsal import Rehearsal, RehearsedFact, RehearsedPosting
from synchromesh.engine.replay import Replay

T = TypeVar("T")


def replay_view(replay: Replay, dry_run: bool) -> RenderableType:
    """What came of a replay, or would."""
    parts = [Text(f"{replay.partition}: {replay.messages:,} message{'s' if replay.messages != 1 else ''} mapped again", "bold")]
    parts += [Text(f"  {course}: {count:,}") for course, count in replay.courses.items() if count]
    if replay.refused.count:
        parts.append(Text("not replayable:", "yellow"))
        parts += _listed(replay.refused, lambda each: f"{each.position} ({each.source}/{each.id}): {each.why}")
    elif dry_run or not replay.decided:
        parts.append(Text("nothing was changed" if replay.changing.count else "nothing to change"))
    if replay.decided:
        parts.append(
            Text(f"{replay.decided:,} decided; each takes effect when the worker comes to it, and stands in the audit trail", "green")
        )
    if replay.preview is not None:
        return Group(*parts, *foreseen_view(replay.preview))
    return Group(*parts)


def rehearsal_view(found: Rehearsal) -> RenderableType:
    """What would have come of a range under other decisions."""
    head = Text(f"{found.partition}, positions {found.first:,} through {found.last:,}, with another {', '.join(found.changed)}:", "bold")
    parts: list[Text] = [head, Text("  nothing of the live plant was changed")]
    parts += _section("facts that would have been others", found.facts, _fact)
    parts += _section("postings that would have been made besides", found.made, foreseen_posting)
    parts += _section("postings that would not have been made", found.gone, foreseen_posting)
    parts += _section("postings that would have been others", found.other, _other)
    parts += _section("places whose stock would differ", found.stock, _stock)
    parts += _section("exceptions that would be open besides", found.opened, _exception)
    parts += _section("exceptions that would not be open", found.closed, _exception)
    parts += [Text(f"  facts {fate}: {count.before:,} → {count.after:,}") for fate, count in found.fates.items()]
    if len(parts) == 2:
        parts.append(Text("  no difference", "green"))
    return Group(*parts)


def _section(words: str, listed: Listed[T], told: Callable[[T], str]) -> Iterator[Text]:
    if listed.count:
        yield Text(f"  {listed.count:,} {words}")
        yield from _listed(listed, told)


def _listed(listed: Listed[T], told: Callable[[T], str]) -> Iterator[Text]:
    for each in listed.first:
        yield Text("    " + told(each))
    if listed.count > len(listed.first):
        yield Text(f"    and {listed.count - len(listed.first):,} more")


def _fact(each: RehearsedFact) -> str:
    events = f"{_said(each.before)} → {_said(each.after)}" if each.before != each.after else _said(each.after)
    fate = f"; {each.fate[0] or 'not told'} → {each.fate[1] or 'not told'}" if each.fate is not None else ""
    return f"{each.position} ({each.source}/{each.id}): {events}{fate}"


def _said(events: tuple[dict[str, object], ...]) -> str:
    return msgspec.json.encode(events).decode() if events else "no event"


def _other(each: RehearsedPosting) -> str:
    return f"{foreseen_posting(each.before)} → {foreseen_posting(each.after)}"


def _exception(each: ForeseenException) -> str:
    return f"{each.category}: {each.sentence}"


def _stock(each: ForeseenStock) -> str:
    ledgers = ((name, getattr(each, name)) for name in ("reported", "booked", "pending", "claimed"))
    return f"{each.place}: " + ", ".join(f"{name} {change[0]} → {change[1]}" for name, change in ledgers if change is not None)

"""`synchromesh replay`: map messages again, into the live plant or in a rehearsal beside it."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from synchromesh.app.replaying import Replaying, mapping_of
from synchromesh.app.settings import Settings
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Failure, Json, answer, settings, stores_in_words
from synchromesh.cli.replay_view import rehearsal_view, replay_view
from synchromesh.engine.rehearsal import Rehearsal
from synchromesh.engine.replay import Mapping, Replay, ReplayRefused, Request
from synchromesh.engine.selection import Selection
from synchromesh.mapping.refusal import ManifestError
from synchromesh.plant.replay import Course

app = typer.Typer(add_completion=False)

T = TypeVar("T")

Plant = Annotated[str, typer.Argument(help="The plant whose messages are meant.", show_default=False)]
First = Annotated[int | None, typer.Option("--first", min=1, help="From this position of the log on.", show_default=False)]
Last = Annotated[int | None, typer.Option("--last", min=1, help="Through this position.", show_default=False)]
Position = Annotated[int | None, typer.Option("--position", min=1, help="Only the message at this position.", show_default=False)]
Since = Annotated[str, typer.Option("--since", help="Received at or after this time, such as 2026-03-02T06:00Z.", show_default=False)]
Until = Annotated[str, typer.Option("--until", help="Received at or before this time.", show_default=False)]
Interface = Annotated[str, typer.Option("--interface", help="Only messages of this interface, as name/version.", show_default=False)]
MessageId = Annotated[str, typer.Option("--message", help="Only the message with this id.", show_default=False)]
Category = Annotated[str, typer.Option("--category", help="What a cause stopped: its category.", show_default=False)]
Subject = Annotated[str, typer.Option("--subject", help="And its subject.", show_default=False)]
Which = Annotated[str, typer.Option("--mapping", help="current (what decides now), ran (what decided then), or the folder of an adapter.")]
By = Annotated[str, typer.Option("--by", help="Who wants it; your name on this machine if it is not said.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail.", show_default=False)]
Dismissed = Annotated[bool, typer.Option("--dismissed", help="Also tell facts that were dismissed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say exactly what would happen, and change nothing.")]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="Rehearse it beside the live plant: all that lies between is folded twice.")]
Proposed = Annotated[Path | None, typer.Option("--proposed", help="Rehearse under this configuration's adapters and policy.")]


@app.command()
def replay(
    plant: Plant,
    position: Position = None,
    first: First = None,
    last: Last = None,
    since: Since = "",
    until: Until = "",
    interface: Interface = "",
    message: MessageId = "",
    category: Category = "",
    subject: Subject = "",
    mapping: Which = "current",
    by: By = "",
    reason: Reason = "",
    dismissed: Dismissed = False,
    dry_run: DryRun = False,
    sandbox: Sandbox = False,
    proposed: Proposed = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Map messages again and put their facts right: what was refused takes its place, what is booked is corrected by the difference, once.

    With --dry-run nothing is changed; with --sandbox the plant is rebuilt twice beside itself, and the differences are told.
    """
    if position and (first or last):
        raise Failure("--position is one message; a range has --first and --last", Code.USAGE)
    if proposed is not None and not sandbox:
        raise Failure("--proposed only rehearses; add --sandbox", Code.USAGE)
    selection = Selection(
        plant,
        position or first or 0,
        position or last or 0,
        _time(since, "--since"),
        _time(until, "--until"),
        interface,
        message,
        category,
        subject,
    )
    configured = settings(config)
    which = _mapping(mapping)
    if sandbox:
        _rehearse(configured, selection, which, settings(proposed) if proposed is not None else None, json)
    else:
        _replay(configured, selection, Request(by or getpass.getuser(), reason or "a dry run" * dry_run, which, dismissed), dry_run, json)


def _replay(configured: Settings, selection: Selection, request: Request, dry_run: bool, json: bool) -> None:
    def work(replaying: Replaying, progress: Callable[[str, int, int], None]) -> Replay:
        return replaying.dry_run(selection, request, progress) if dry_run else replaying.live(selection, request, progress)

    found = _watched(configured, work, json)
    answer(found, json, lambda console: console.print(replay_view(found, dry_run)))
    if found.courses[Course.REFUSED]:
        raise typer.Exit(Code.PROBLEMS)


def _rehearse(configured: Settings, selection: Selection, which: Mapping, proposed: Settings | None, json: bool) -> None:
    def work(replaying: Replaying, progress: Callable[[str, int, int], None]) -> Rehearsal:
        return replaying.rehearse(selection, which, proposed, progress)

    found = _watched(configured, work, json)
    answer(found, json, lambda console: console.print(rehearsal_view(found)))


def _watched(configured: Settings, work: Callable[[Replaying, Callable[[str, int, int], None]], T], quiet: bool) -> T:
    """Do the work under a progress bar; refusals end the verb with their words."""
    with Progress(console=Console(file=sys.stderr), transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(doing: str, done: int, end: int) -> None:
            if doing not in tasks:
                tasks[doing] = bar.add_task(doing, total=end)
            bar.update(tasks[doing], completed=done, total=end)

        with stores_in_words():
            try:
                return work(Replaying(configured), progress)
            except (ReplayRefused, ManifestError) as error:
                raise Failure(str(error), Code.USAGE) from error


def _mapping(word: str) -> Mapping:
    try:
        return mapping_of(word)
    except ManifestError as error:
        raise Failure(f"--mapping is current, ran, or the folder of an adapter: {error}", Code.USAGE) from error


def _time(text: str, name: str) -> datetime | None:
    """A time of the command line; one without a zone is UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Failure(f"{name} must be a time such as 2026-03-02T06:00Z, not {text!r}", Code.USAGE) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

"""`synchromesh exceptions`: what waits for a person, by the thing to be fixed; and every repair, each with a dry run."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from synchromesh.app.asking import inquiry_of
from synchromesh.app.desk import desk_of
from synchromesh.app.stores import Stores
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Failure, Json, answer, settings, stores_in_words
from synchromesh.cli.queue_view import audit_view, causes_view, decided_view, exceptions_view, proposals_view, shown_view
from synchromesh.engine.desk import Decided, Desk, NotFitting
from synchromesh.engine.inquiry import Inquiry
from synchromesh.engine.queue import Unknown
from synchromesh.engine.views import ExceptionStory, ExceptionView, Story
from synchromesh.model.event import (
    CauseAssigned,
    CauseDismissed,
    CauseReleased,
    Correctable,
    DecisionApproved,
    DecisionDenied,
    DecisionEvent,
    DoubtSettled,
    ExceptionsAssigned,
    FactDismissed,
    FactRepaired,
    FactRetried,
    PostingRetried,
)
from synchromesh.model.posting import Category

app = typer.Typer(no_args_is_help=True, add_completion=False)

Id = Annotated[str, typer.Argument(help="The exception: PLANT:POSITION.ORDINAL, as `list` shows it.", show_default=False)]
Kind = Annotated[str, typer.Argument(help="The cause's category, such as “unknown item”.", show_default=False)]
Subject = Annotated[str, typer.Argument(help="The cause's subject, such as “item 4711”.", show_default=False)]
Plant = Annotated[str, typer.Option("--plant", help="Only this plant.", show_default=False)]
By = Annotated[str, typer.Option("--by", help="Who decides this; your name on this machine if it is not said.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say exactly what would happen, and change nothing.")]
Sure = Annotated[bool, typer.Option("--sure", help="Send it also when it looks like a document that others booked.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="The most that are listed.")]
Place = Annotated[int, typer.Argument(min=1, help="The proposal's position, as `proposals` shows it.", show_default=False)]
Of = Annotated[str, typer.Argument(help="The plant of the proposal.", show_default=False)]

_event: Final[msgspec.json.Decoder[Correctable]] = msgspec.json.Decoder(Correctable)
LOOK: Final = 0.2
"""Seconds between two looks at how far a release has come."""

FACTS: Final = 20
"""Facts that `show` tells of one exception."""


@contextmanager
def _desk(config: Path) -> Iterator[tuple[Desk, Inquiry]]:
    """The desk of an installation, and who tells the stories; refusals end the verb with their words."""
    configured = settings(config)
    with stores_in_words():
        stores = Stores(configured)
        log, reading = stores.log(), stores.reading()
        inquiry = inquiry_of(configured, reading, log)
        try:
            yield desk_of(configured, reading, log), inquiry
        except (Unknown, NotFitting) as error:
            raise Failure(str(error), Code.PROBLEMS) from error
        finally:
            reading.close()
            log.close()


# --- looking -----------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_(
    category: Annotated[str, typer.Option("--category", help="Only causes of this category.", show_default=False)] = "",
    subject: Annotated[str, typer.Option("--subject", help="The single exceptions of this cause.", show_default=False)] = "",
    state: Annotated[
        str, typer.Option("--state", help="Single exceptions: open, assigned, resolved or dismissed.", show_default=False)
    ] = "",
    plant: Plant = "",
    limit: Limit = 100,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """List what waits for a person, by the thing to be fixed: what is late first, then what holds up most facts."""
    if state and state not in ("open", "assigned", "resolved", "dismissed"):
        raise Failure(f"there is no state {state!r}; exceptions are open, assigned, resolved or dismissed", Code.USAGE)
    if category:
        _known_category(category)
    with _desk(config) as (desk, _):
        queue = desk.queue
        if state:
            newest = [each for each in queue.newest(state, limit) if plant in ("", each.plant) and category in ("", each.category)]
            answer(newest, json, lambda console: console.print(exceptions_view(newest)))
        elif subject:
            causes = [each for each in queue.causes(limit, plant, category) if each.subject == subject]
            members = [
                each for cause in causes for at in cause.plants for each in queue.of_cause(at, cause.category, subject, (0, 0), limit)
            ]
            answer(members[:limit], json, lambda console: console.print(exceptions_view(members[:limit])))
        else:
            found = queue.causes(limit, plant, category)
            answer(found, json, lambda console: console.print(causes_view(found)))


@app.command()
def show(id_: Id, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Tell everything about one exception: message, mapped event, ERP's answer, history, and what can be done."""
    plant, position, ordinal = _place(id_)
    with _desk(config) as (desk, inquiry):
        view = desk.queue.exception(plant, (position, ordinal))
        shown = ExceptionStory(view, tuple(inquiry.held_up_by(view, FACTS)))
        answer(shown, json, lambda console: console.print(shown_view(shown.exception, shown.stories)))


@app.command()
def proposals(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """List decisions that wait for a second person."""
    with _desk(config) as (desk, _):
        found = desk.queue.proposals()
        answer(found, json, lambda console: console.print(proposals_view(found)))


@app.command()
def audit(plant: Plant = "", limit: Limit = 100, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """List what people decided, newest first, and what came of each decision."""
    with _desk(config) as (desk, _):
        found = desk.queue.audit(limit, plant)
        answer(found, json, lambda console: console.print(audit_view(found)))


# --- deciding ----------------------------------------------------------------------------------------------------------------


@app.command()
def retry(
    id_: Id,
    last: Annotated[bool, typer.Option("--last", help="Behind the rest of its lane, which brings what it needs.")] = False,
    sure: Sure = False,
    by: By = "",
    dry_run: DryRun = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Send a refused posting again, or tell a refused fact again, as it was."""

    def event(view: ExceptionView, who: str) -> DecisionEvent:
        return PostingRetried(view.posting, who, last) if view.posting else FactRetried(view.position, who)

    _decide(id_, event, by, dry_run, config, json, sure)


@app.command()
def settle(
    id_: Id,
    document: Annotated[str, typer.Option("--document", help="The document's number: it is booked.", show_default=False)] = "",
    not_booked: Annotated[bool, typer.Option("--not-booked", help="It is not booked: send it again.")] = False,
    by: By = "",
    dry_run: DryRun = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Say whether a posting in doubt is booked."""
    if bool(document) == not_booked:
        raise Failure("say either --document NUMBER (it is booked) or --not-booked", Code.USAGE)
    _decide(id_, lambda view, who: DoubtSettled(_posting_of(view), who, document), by, dry_run, config, json)


@app.command()
def correct(
    id_: Id,
    event: Annotated[
        Path | None,
        typer.Option("--event", help="A file with the event that it should have been, - for stdin.", show_default=False),
    ] = None,
    payload: Annotated[
        Path | None, typer.Option("--payload", help="A file with the payload that it should have been, - for stdin.", show_default=False)
    ] = None,
    fact: Annotated[int, typer.Option("--fact", min=0, help="The wrong fact's position, if it is one of several.", show_default=False)] = 0,
    reason: Reason = "",
    by: By = "",
    dry_run: DryRun = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Correct what a fact says: the corrected event or payload becomes a message that names its cause, the original stays."""
    if (event is None) == (payload is None):
        raise Failure("say either --event FILE or --payload FILE", Code.USAGE)
    corrected = _event_in(event) if event is not None else None
    plant, position, ordinal = _place(id_)
    with _desk(config) as (desk, inquiry):
        view = desk.queue.exception(plant, (position, ordinal))
        wrong = fact or _fact_of(view, inquiry.held_up_by(view, 2))
        if corrected is not None:
            _tell([desk.decide(plant, FactRepaired(wrong, by or _me(), reason, corrected), dry_run=dry_run)], json)
        elif payload is not None:
            text = _bytes_in(payload).decode("utf-8", "replace")
            _tell([desk.correct_payload(plant, wrong, text, by or _me(), reason, dry_run=dry_run)], json)


@app.command()
def dismiss(
    id_: Id, reason: Reason = "", by: By = "", dry_run: DryRun = False, config: Config = DEFAULT_CONFIG, json: Json = False
) -> None:
    """Decide that what an exception holds up shall not be booked. A reason is required."""
    _decide(id_, lambda view, who: FactDismissed(view.position, who, reason, view.ordinal), by, dry_run, config, json)


@app.command()
def assign(
    id_: Id,
    to: Annotated[str, typer.Option("--to", help="Who works on it; nobody if it is not said.", show_default=False)] = "",
    by: By = "",
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Say who works on an exception."""
    _decide(id_, lambda view, who: ExceptionsAssigned(((view.position, view.ordinal),), who, to), by, False, config, json)


@app.command("assign-cause")
def assign_cause(
    category: Kind,
    subject: Subject,
    to: Annotated[str, typer.Option("--to", help="Who works on it; nobody if it is not said.", show_default=False)] = "",
    plant: Plant = "",
    by: By = "",
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Say who works on everything that has this cause now."""
    _whole(CauseAssigned(_known_category(category), subject, by or _me(), to), plant, False, config, json)


@app.command()
def release(
    category: Kind,
    subject: Subject,
    plant: Plant = "",
    sure: Sure = False,
    by: By = "",
    dry_run: DryRun = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Try everything again that has this cause, in its order: the cause is put right."""
    event = CauseReleased(_known_category(category), subject, by or _me())
    _whole(event, plant, dry_run, config, json, sure)


@app.command("dismiss-cause")
def dismiss_cause(
    category: Kind,
    subject: Subject,
    plant: Plant = "",
    reason: Reason = "",
    by: By = "",
    dry_run: DryRun = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Decide that nothing that has this cause shall be booked. A reason is required."""
    event = CauseDismissed(_known_category(category), subject, by or _me(), reason)
    _whole(event, plant, dry_run, config, json)


@app.command()
def approve(plant: Of, position: Place, by: By = "", config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Agree, as the second person, with a decision that was proposed: it takes effect now."""
    with _desk(config) as (desk, _):
        _tell([desk.decide(plant, DecisionApproved(position, by or _me()))], json)


@app.command()
def deny(plant: Of, position: Place, reason: Reason = "", by: By = "", config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Disagree, as the second person, with a decision that was proposed. A reason is required."""
    with _desk(config) as (desk, _):
        _tell([desk.decide(plant, DecisionDenied(position, by or _me(), reason))], json)


# --- what they share -----------------------------------------------------------------------------------------------------------


def _decide(
    id_: str,
    event: Callable[[ExceptionView, str], DecisionEvent],
    by: str,
    dry_run: bool,
    config: Path,
    json: bool,
    sure: bool = False,
) -> None:
    plant, position, ordinal = _place(id_)
    with _desk(config) as (desk, _):
        view = desk.queue.exception(plant, (position, ordinal))
        _tell([desk.decide(plant, event(view, by or _me()), dry_run=dry_run, sure=sure)], json)


def _whole(
    event: CauseReleased | CauseDismissed | CauseAssigned, plant: str, dry_run: bool, config: Path, json: bool, sure: bool = False
) -> None:
    with _desk(config) as (desk, _):
        decided = desk.release(event, plant=plant, dry_run=dry_run, sure=sure)
        if not dry_run and not json:
            _follow(desk, event)
        _tell(decided, json)


def _follow(desk: Desk, event: CauseReleased | CauseDismissed | CauseAssigned) -> None:
    """Show how a release proceeds, until it is through. Interrupting this stops looking, not the release."""
    with Progress(console=Console(file=sys.stderr), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("working off", total=None)
        most = 0
        while left := sum(each.left for each in desk.queue.releasing(event.category, event.subject)):
            most = max(most, left)
            bar.update(task, total=most, completed=most - left)
            time.sleep(LOOK)


def _tell(decided: list[Decided], json: bool) -> None:
    answer(decided, json, lambda console: console.print(decided_view(decided)))
    if any(each.came_of == "stale" for each in decided):
        raise typer.Exit(Code.PROBLEMS)


def _place(id_: str) -> tuple[str, int, int]:
    plant, _, place = id_.rpartition(":")
    position, _, ordinal = place.partition(".")
    if not plant or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in (position, ordinal)):
        raise Failure(f"{id_!r} is not an exception; they are called PLANT:POSITION.ORDINAL, as `exceptions list` shows them", Code.USAGE)
    return plant, int(position), int(ordinal)


def _known_category(category: str) -> Category:
    if category not in set(Category):
        raise Failure(f"there is no category {category!r}; there are {', '.join(Category)}", Code.USAGE)
    return Category(category)


def _posting_of(view: ExceptionView) -> str:
    if not view.posting:
        raise NotFitting(f"exception {view.id} is about a fact, and only a posting can be in doubt")
    return view.posting


def _fact_of(view: ExceptionView, stories: list[Story]) -> int:
    """The fact to be corrected. What books or holds up several does not say which of them is wrong."""
    if len(stories) != 1:
        raise NotFitting(
            f"exception {view.id} holds up {view.facts} facts: correct the one that is wrong as `PLANT:POSITION.0` of its trace"
        )
    return stories[0].fact.position


def _event_in(path: Path) -> Correctable:
    try:
        return _event.decode(_bytes_in(path))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failure(
            f"{path} is no event that can stand for another: {error}; `synchromesh schema` says what one is", Code.USAGE
        ) from error


def _bytes_in(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}", Code.USAGE) from error


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise Failure("say who decides this: --by NAME", Code.USAGE) from None

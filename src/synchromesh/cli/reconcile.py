"""`synchromesh reconcile`: compare books, tell why they differ, approve corrections, and say what stands before the close of a period."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.progress import Progress, TaskID

from synchromesh.app.desk import desk_of
from synchromesh.app.reconciling import reconciler_of
from synchromesh.app.stores import Stores
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Failure, Json, answer, settings, stores_in_words
from synchromesh.cli.queue_view import decided_view
from synchromesh.cli.reconciled import kept_view, period_view, report_view
from synchromesh.connectors.agreement import ConnectorError
from synchromesh.engine.desk import Decided, NotFitting
from synchromesh.engine.queue import Unknown as NoSuchThing
from synchromesh.engine.reconcile import period as periods
from synchromesh.engine.reconcile.reconciler import Reconciler, Unknown
from synchromesh.engine.reconcile.views import Report
from synchromesh.model.event import DifferenceAdjusted

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Compare books, and tell why they differ.")

Plant = Annotated[str, typer.Option("--plant", help="Only this plant; without it all of them.")]
Look = Annotated[bool, typer.Option("--look", help="Only look: the run is not kept, and no age is remembered.")]
All = Annotated[bool, typer.Option("--all", help="Also show differences that are explained.")]


@app.command()
def stock(config: Config = DEFAULT_CONFIG, plant: Plant = "", look: Look = False, all_: All = False, json: Json = False) -> None:
    """Compare stock: ERP's books and snapshots of the plant's systems against what the plant reported."""
    _compare("stock", config, plant, look, all_, json)


@app.command()
def orders(config: Config = DEFAULT_CONFIG, plant: Plant = "", look: Look = False, all_: All = False, json: Json = False) -> None:
    """Compare orders: what was reported, posted, booked by others, and is on ERP's books."""
    _compare("orders", config, plant, look, all_, json)


@app.command()
def states(config: Config = DEFAULT_CONFIG, plant: Plant = "", look: Look = False, all_: All = False, json: Json = False) -> None:
    """Compare what each system says of orders and lots: released, done, blocked."""
    _compare("states", config, plant, look, all_, json)


@app.command()
def period(
    first: Annotated[str, typer.Argument(help="The first day of the period.")],
    last: Annotated[str, typer.Argument(help="Its last day.")],
    config: Config = DEFAULT_CONFIG,
    plant: Plant = "",
    json: Json = False,
) -> None:
    """Tell what must still be booked before a period can be closed."""
    with _desk(config) as desk:
        try:
            days = periods.parse(first, last)
        except periods.PeriodError as error:
            raise Failure(str(error), Code.USAGE) from error
        found = [desk.period(name, *days) for name in _plants(desk, plant)]
    answer(found, json, lambda console: _print(console, (period_view(each) for each in found)))
    if not all(each.can_be_closed for each in found):
        raise typer.Exit(Code.PROBLEMS)


@app.command()
def runs(config: Config = DEFAULT_CONFIG, plant: Plant = "", json: Json = False) -> None:
    """Tell which runs are kept, and since when each difference stands."""
    with _desk(config) as desk:
        found = [desk.kept(name) for name in _plants(desk, plant)]
    answer(found, json, lambda console: _print(console, (kept_view(each) for each in found)))
    if any(each.differences for each in found):
        raise typer.Exit(Code.PROBLEMS)


@app.command()
def approve(
    proposal: Annotated[str, typer.Argument(help="The proposal, as `synchromesh reconcile runs` names it.")],
    by: Annotated[str, typer.Option("--by", help="Who approves it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the document.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say exactly which postings would be made, and change nothing.")] = False,
    config: Config = DEFAULT_CONFIG,
    plant: Plant = "",
    json: Json = False,
) -> None:
    """Approve a proposed correction of stock: it is booked in ERP once, as long as nothing moved there meanwhile."""
    if not 0 < len(by) <= 128 or len(reason) > 128:
        raise Failure("--by needs a name, and neither it nor --reason may be longer than 128 characters", Code.USAGE)
    with _desk(config) as desk:
        names = _plants(desk, plant)
    if len(names) > 1:
        raise Failure(f"say which plant: --plant {' or --plant '.join(names)}", Code.USAGE)
    decided = _approved(config, names[0], DifferenceAdjusted(proposal, by, reason), dry_run)
    answer(decided, json, lambda console: console.print(decided_view([decided])))


def _approved(config: Config, plant: str, event: DifferenceAdjusted, dry_run: bool) -> Decided:
    configured = settings(config)
    with stores_in_words():
        stores = Stores(configured)
        log, reading = stores.log(), stores.reading()
        try:
            return desk_of(configured, reading, log).decide(plant, event, dry_run=dry_run)
        except NoSuchThing as error:
            raise Failure(str(error.args[0]), Code.USAGE) from error
        except NotFitting as error:
            raise Failure(str(error), Code.PROBLEMS) from error
        finally:
            reading.close()
            log.close()


def _compare(scope: str, config: Config, plant: str, look: bool, all_: bool, json: bool) -> None:
    with _desk(config) as desk, _progress(json) as progress:
        reports = [_report(desk, scope, name, look, progress) for name in _plants(desk, plant)]
    answer(reports, json, lambda console: _print(console, (report_view(each, all_) for each in reports)))
    if any(each.beyond for each in reports):
        raise typer.Exit(Code.PROBLEMS)


def _print(console: Console, views: Iterable[RenderableType]) -> None:
    for view in views:
        console.print(view, soft_wrap=False)


def _report(desk: Reconciler, scope: str, plant: str, look: bool, bar: Progress) -> Report:
    tasks: dict[str, TaskID] = {}

    def progress(what: str, done: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(f"{plant}: {what}", total=None)
        bar.update(tasks[what], completed=done)

    run = desk.compare if look else desk.run
    try:
        return asyncio.run(run(scope, plant, progress=progress))
    except ConnectorError as error:
        raise Failure(str(error), Code.UNREACHED) from error


def _plants(desk: Reconciler, plant: str) -> list[str]:
    if plant and plant not in desk.plants:
        raise Failure(f"there is no plant {plant!r}; there are {', '.join(desk.plants)}", Code.USAGE)
    return [plant] if plant else list(desk.plants)


@contextmanager
def _desk(config: Config) -> Iterator[Reconciler]:
    configured = settings(config)
    with stores_in_words():
        stores = Stores(configured)
        log, reading = stores.log(), stores.reading()
        try:
            yield reconciler_of(configured, reading, log)
        except Unknown as error:
            raise Failure(str(error.args[0]), Code.USAGE) from error
        finally:
            reading.close()
            log.close()


@contextmanager
def _progress(json: bool) -> Iterator[Progress]:
    with Progress(console=Console(file=sys.stderr), transient=True, disable=json or not sys.stderr.isatty()) as bar:
        yield bar

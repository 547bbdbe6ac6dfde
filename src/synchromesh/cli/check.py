"""`synchromesh check`: everything that is wrong with a configuration, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from synchromesh.app.checking import Looked, look
from synchromesh.app.faults import Fault, SettingsError
from synchromesh.app.reading import read_settings
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Json, answer

app = typer.Typer(add_completion=False)

Reach = Annotated[bool, typer.Option("--reach", help="Also ask each business system whether it answers; nothing is changed there.")]


class Report(msgspec.Struct, frozen=True):
    """What `check` answers: faults of the file, and what else was looked at. `well` tells whether all is."""

    file: str
    well: bool
    faults: tuple[Fault, ...] = ()
    looked: tuple[Looked, ...] = ()


@app.command()
def check(config: Config = DEFAULT_CONFIG, reach: Reach = False, json: Json = False) -> None:
    """Say everything that is wrong with a configuration, its adapters and its connectors' settings."""
    report = _report(config, reach)
    answer(report, json, lambda console: _words(console, report))
    if not report.well:
        only_unreached = not report.faults and all(looked.unreached for looked in report.looked if looked.problem)
        raise typer.Exit(Code.UNREACHED if only_unreached else Code.PROBLEMS)


def _report(config: Path, reach: bool) -> Report:
    try:
        settings = read_settings(config)
    except SettingsError as error:
        return Report(str(config), well=False, faults=error.faults)
    looked = tuple(look(settings, reach=reach))
    return Report(str(config), well=not any(one.problem for one in looked), looked=looked)


def _words(console: Console, report: Report) -> None:
    for fault in report.faults:
        console.print(Text(str(fault)))
    for looked in report.looked:
        mark, style = ("✗", "red") if looked.problem else ("✓", "green")
        console.print(Text.assemble((mark, style), f" {looked.subject}", f": {looked.problem}" if looked.problem else ""))
    console.print(Text(_verdict(report), "bold"))


def _verdict(report: Report) -> str:
    wrong = len(report.faults) + sum(bool(looked.problem) for looked in report.looked)
    return f"{report.file}: all is well" if report.well else f"{report.file}: {wrong} {'thing is' if wrong == 1 else 'things are'} wrong"

"""`synchromesh adapter`: write a new adapter, and run an adapter's samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from synchromesh.cli.frame import Code, Failure, Json, answer
from synchromesh.mapping.refusal import ManifestError
from synchromesh.mapping.samples import Report, test_adapter
from synchromesh.mapping.scaffold import new_adapter

app = typer.Typer(no_args_is_help=True, add_completion=False)

Folder = Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)]
Folders = Annotated[list[Path], typer.Argument(help="Folders of adapters.", show_default=False)]
Name = Annotated[str, typer.Option("--name", help="Name of the interface; the folder's name if it is not given.", show_default=False)]


class Written(msgspec.Struct, frozen=True):
    """What `adapter new` answers."""

    files: tuple[str, ...]


class Tested(msgspec.Struct, frozen=True):
    """What `adapter test` says of one folder. `problem` is why it can't be loaded, '' when it can."""

    folder: str
    well: bool
    report: Report | None = None
    problem: str = ""


@app.command()
def new(folder: Folder, name: Name = "", json: Json = False) -> None:
    """Write an adapter that works, to edit until it reads the plant's own payloads."""
    try:
        written = Written(tuple(map(str, new_adapter(folder, name or folder.resolve().name))))
    except ManifestError as error:
        raise Failure(str(error), Code.USAGE) from error
    answer(written, json, lambda console: console.print(Text("\n".join(("written:", *written.files)))))


@app.command("test")
def run(folders: Folders, json: Json = False) -> None:
    """Load adapters and run their samples."""
    tested = tuple(_tested(folder) for folder in folders)
    answer(tested, json, lambda console: _words(console, tested))
    if not all(one.well for one in tested):
        raise typer.Exit(Code.PROBLEMS)


def _tested(folder: Path) -> Tested:
    try:
        report = test_adapter(folder)
    except ManifestError as error:
        return Tested(str(folder), well=False, problem=str(error))
    return Tested(str(folder), report.well, report, "" if report.samples else "it has no samples, so it promises nothing; write some")


def _words(console: Console, tested: tuple[Tested, ...]) -> None:
    for one in tested:
        console.print(Text(f"{one.folder}: {one.report.interface}" if one.report else one.folder, "bold"))
        if one.problem:
            console.print(Text.assemble(("✗", "red"), f" {one.problem}"))
        for sample in one.report.samples if one.report else ():
            mark, style = ("✗", "red") if sample.problem else ("✓", "green")
            console.print(Text.assemble((mark, style), f" {sample.name}", f": {sample.problem}" if sample.problem else ""))

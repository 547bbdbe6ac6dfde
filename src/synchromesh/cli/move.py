"""`synchromesh move`: an installation goes to other engines, with its history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synchromesh.app.moving import Move, Moved, move
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Json, answer, bars, held_in_words, settings, stores_in_words

app = typer.Typer(add_completion=False)

To = Annotated[Path, typer.Option("--to", help="The configuration of where it shall be: another log, another state, or both.")]


@app.command("move")
def move_command(to: To, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Move a stopped installation to the log and the state of another configuration, with every message at its position. What was
    interrupted is repeated."""
    source, target = settings(config), settings(to)
    with bars(quiet=json) as progress, stores_in_words(), held_in_words():
        done = move(source, target, progress)
    answer(done, json, lambda console: _words(console, done, to))
    if not done.finished:
        raise typer.Exit(Code.PROBLEMS)


def _words(console: Console, done: Move, to: Path) -> None:
    for each in done.partitions:
        _partition(console, each, done)
    if done.already:
        console.print(f"it has been moved already: start with {to}")
    elif done.finished:
        what = " and ".join(name for name, moved in (("log", done.log), ("state", done.state)) if moved)
        console.print(f"{what} moved, {done.claims:,} claims with it; start with {to} from now on: what was moved from can't be started")
    else:
        console.print("not moved: the state is not what its log makes of it; `synchromesh verify` tells where, and the source is as it was")


def _partition(console: Console, each: Moved, done: Move) -> None:
    if not each.differences:
        same = f", and every row of the state at {each.position:,} is the same" if done.state else ""
        console.print(f"[green]{each.partition}[/green]: {each.head:,} messages at their positions{same}")
    for difference in each.differences:
        console.print(f"[red]{each.partition}[/red]: {difference.table} {difference.key!r}: {difference.problem}")

"""`synchromesh rebuild`: the state is made anew from archive and log."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from synchromesh.app.rebuilding import Rebuilding, rebuild_state
from synchromesh.cli.frame import DEFAULT_CONFIG, Config, Json, answer, bars, held_in_words, settings, stores_in_words

app = typer.Typer(add_completion=False)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Read everything that was told, say what would be made of it, and change nothing.")]


@app.command("rebuild")
def rebuild_command(config: Config = DEFAULT_CONFIG, dry_run: DryRun = False, json: Json = False) -> None:
    """Make the state of a stopped installation anew from archive and log. What was interrupted is repeated. Nothing that may have been
    sent is sent again without asking."""
    configured = settings(config)
    with bars(quiet=json) as progress, stores_in_words(), held_in_words():
        done = rebuild_state(configured, progress, dry_run=dry_run)
    answer(done, json, lambda console: _words(console, done))


def _words(console: Console, done: Rebuilding) -> None:
    for each in done.partitions:
        before = f"the state stood at {each.before:,}" if done.readable else "the state that is there can't be read"
        made = f"made anew through {each.position:,}" if done.finished else f"would be made anew through {each.position:,}"
        console.print(f"{each.partition}: {each.head:,} messages are there, {before}, {made}")
    if not done.finished:
        console.print("nothing was changed")
        return
    asked = [each.partition for each in done.partitions if each.partition not in done.claims_known]
    if asked:
        console.print(f"of {', '.join(asked)} it is not known what was sent: the business systems are asked before anything is sent again")
    console.print("rebuilt; start it")

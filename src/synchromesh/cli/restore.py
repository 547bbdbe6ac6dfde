"""`synchromesh restore`: a backup becomes an installation again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synchromesh.app.restoring import Restoration, as_found, restore
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Failure, Json, answer, bars, held_in_words, settings, stores_in_words

app = typer.Typer(add_completion=False)

From = Annotated[Path | None, typer.Argument(help="The backup: a folder, or a .tar file.")]
AsFound = Annotated[
    bool, typer.Option("--as-found", help="Nothing is restored: the installation was put back by other means, and may be an older copy.")
]
Differing = Annotated[
    bool, typer.Option("--differing", help="Finish also where this program makes another state of the log than the one that was backed up.")
]


@app.command("restore")
def restore_command(
    backup: From = None, config: Config = DEFAULT_CONFIG, differing: Differing = False, found: AsFound = False, json: Json = False
) -> None:
    """Put a backup into an empty installation, of whatever engines its configuration names. Nothing that may have been sent since the
    backup was made is sent again without asking."""
    if found is (backup is not None):
        raise Failure("name a backup, or say --as-found, which restores none", Code.USAGE)
    configured = settings(config)
    with bars(quiet=json) as progress, stores_in_words(), held_in_words():
        done = as_found(configured) if backup is None else restore(configured, backup, progress, differing=differing)
    answer(done, json, lambda console: _words(console, done))
    if not all(each.same for each in done.partitions):
        raise typer.Exit(Code.PROBLEMS)


def _words(console: Console, done: Restoration) -> None:
    for each in done.partitions:
        if each.same:
            console.print(f"[green]{each.partition}[/green]: {each.head:,} messages, the state at {each.position:,} is what it was")
        else:
            console.print(f"[red]{each.partition}[/red]: {each.head:,} messages; the state at {each.position:,} is not what was backed up")
    if done.finished:
        console.print("restored; what the backup does not know is asked about before anything is sent again")
    else:
        console.print(
            f"not finished, and nothing can start on it: restore with Synchromesh {done.synchromesh}, which made the backup, or repeat "
            "with --differing to go on with what the log makes"
        )

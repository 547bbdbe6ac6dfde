"""`synchromesh migrate`: the tables of log and state become those of this program."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from synchromesh.app.migrating import Migration, migrate
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Failure, Json, answer, held_in_words, settings, stores_in_words
from synchromesh.log.agreement import Version

app = typer.Typer(add_completion=False)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done; exit code 1 when there is something to do.")]


@app.command("migrate")
def migrate_command(config: Config = DEFAULT_CONFIG, dry_run: DryRun = False, json: Json = False) -> None:
    """Bring log and state up to date with this program, or say what would be done. What a newer program made is refused and left as it is.

    A start does the same where its role may change tables. This is for installations where it may not: give a configuration that names
    the tables' owner."""
    configured = settings(config)
    with stores_in_words(), held_in_words():
        try:
            done = migrate(configured, dry_run=dry_run)
        except ValueError as error:
            raise Failure(str(error), Code.USAGE) from error
    answer(done, json, lambda console: _words(console, done))
    if not done.done:
        raise typer.Exit(Code.PROBLEMS)


def _words(console: Console, done: Migration) -> None:
    for name, version in (("log", done.log), ("state", done.state)):
        console.print(f"{name} ({version.place}): {_what(version, done=done.done)}", markup=False)


def _what(version: Version, *, done: bool) -> str:
    if not version.due:
        return f"version {version.found}, nothing to do"
    if not version.found:
        return f"{'made' if done else 'would be made'}, version {version.wanted}"
    return f"{'brought' if done else 'would be brought'} from version {version.found} to {version.wanted}"

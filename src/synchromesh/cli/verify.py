"""`synchromesh verify`: rebuild every plant from its log and compare."""

from __future__ import annotations

import typer
from rich.console import Console

from synchromesh.app.verifying import Verified, verify
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Json, answer, bars, settings, stores_in_words

app = typer.Typer(add_completion=False)


@app.command("verify")
def verify_command(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Rebuild every plant from its log, beside the running system, and compare it with what is stored, row by row."""
    configured = settings(config)
    with bars(quiet=json) as progress, stores_in_words():
        found = verify(configured, progress)
    answer(found, json, lambda console: _words(console, found))
    if not all(each.ok for each in found):
        raise typer.Exit(Code.PROBLEMS)


def _words(console: Console, found: list[Verified]) -> None:
    for each in found:
        if each.ok:
            console.print(f"[green]{each.partition}[/green]: the state is what {each.position:,} messages make of it")
        elif each.rebuilt < each.position:
            console.print(f"[red]{each.partition}[/red]: the log ends at {each.rebuilt:,}, and the state stands at {each.position:,}")
        for difference in each.differences:
            console.print(f"[red]{each.partition}[/red]: {difference.table} {difference.key!r}: {difference.problem}", markup=True)
    if not found:
        console.print("nothing is stored yet")

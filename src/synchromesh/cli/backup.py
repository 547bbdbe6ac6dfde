"""`synchromesh backup`: everything that was told, and what it had come to, in one folder or file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synchromesh.app.backup import back_up
from synchromesh.app.manifest import Manifest
from synchromesh.cli.frame import DEFAULT_CONFIG, Config, Json, answer, bars, settings, stores_in_words

app = typer.Typer(add_completion=False)

To = Annotated[Path, typer.Argument(help="The folder to make, or a file whose name ends with .tar.")]


@app.command("backup")
def backup_command(to: To, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Back up log, archive and what the state is, while everything runs. The configuration, which may hold secrets, is only named."""
    configured = settings(config)
    with bars(quiet=json) as progress, stores_in_words():
        made = back_up(configured, config, to, progress)
    answer(made, json, lambda console: _words(console, to, made))


def _words(console: Console, to: Path, made: Manifest) -> None:
    for partition, kept in made.partitions.items():
        console.print(f"{partition}: {kept.head:,} messages, the state at {kept.position:,}")
    size = sum(file.bytes for file in made.files.values())
    console.print(f"backup {made.name} in {to}: {size:,} bytes, checksums in its manifest; keep {made.settings['path']} beside it")

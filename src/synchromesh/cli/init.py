"""`synchromesh init`: a commented configuration to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Failure, Json, answer

app = typer.Typer(add_completion=False)


class Written(msgspec.Struct, frozen=True):
    """What `init` answers: the file it wrote."""

    file: str


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write it; made when it is not there.")] = Path(),
    json: Json = False,
) -> None:
    """Write a commented configuration file to start from. An existing one is never touched."""
    path = folder / DEFAULT_CONFIG
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(files("synchromesh.app").joinpath("template.toml").read_text("utf-8"))
    except FileExistsError as error:
        raise Failure(f"{path} is there already and was left as it is; move it away, or name another folder", Code.USAGE) from error
    except OSError as error:
        raise Failure(f"{path} can't be written: {error.strerror}", Code.USAGE) from error

    def words(console: Console) -> None:
        console.print(f"wrote {path}\nEdit it, then: [bold]synchromesh check --config {path}[/]")

    answer(Written(str(path)), json, words)

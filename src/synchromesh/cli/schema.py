"""`synchromesh schema`: the JSON Schema of what a source may tell, for other programs' validators and editors."""

from __future__ import annotations

import sys

import msgspec
import typer

from synchromesh.cli.frame import Json
from synchromesh.model.schema import event_schema

app = typer.Typer(add_completion=False)


@app.command()
def schema(json: Json = False) -> None:
    """Print the JSON Schema (2020-12) of the canonical events that a source may tell: the `data` of an event, with its `type`."""
    del json  # a schema is JSON in either case
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(event_schema()).decode(), indent=2) + "\n")

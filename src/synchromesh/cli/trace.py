"""`synchromesh trace`: the story of any fact, found by order, lot, message id, posting key or document number."""

from __future__ import annotations

from typing import Annotated

import typer

from synchromesh.app.asking import inquiry_of
from synchromesh.app.stores import Stores
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Json, answer, settings, stores_in_words
from synchromesh.cli.show import trace_view

app = typer.Typer(add_completion=False)

Query = Annotated[str, typer.Argument(help="An order, a lot, a message id, a posting key or a document number.")]


@app.command()
def trace(query: Query, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Tell what became of a fact: message, events, postings, documents, exceptions."""
    configured = settings(config)
    with stores_in_words():
        stores = Stores(configured)
        log, reading = stores.log(), stores.reading()
        inquiry = inquiry_of(configured, reading, log)
        found = inquiry.trace(query)
        reading.close()
        log.close()
    answer(found, json, lambda console: console.print(trace_view(found), soft_wrap=False))
    if not found.stories:
        raise typer.Exit(Code.PROBLEMS)

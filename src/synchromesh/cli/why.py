"""`synchromesh why`: the chain of causes, from anything that waits down to the thing to fix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Json, answer, settings, stores_in_words
from synchromesh.engine.views import SystemView
from synchromesh.engine.why import Asking, Node, Why
from synchromesh.state.agreement import Reading

app = typer.Typer(add_completion=False)

Query = Annotated[str, typer.Argument(help="A fact (PLANT:POSITION), an order, a lot, a posting key, a message id or a document number.")]


@app.command()
def why(query: Query, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Tell why something waits: what stands before it, what that waits for, and so on down to what somebody must fix."""
    configured = settings(config)
    with stores_in_words():
        reading = Stores(configured).reading()
        try:
            plants = [plant.id for plant in configured.plants]
            found = Asking(plants, reading, lambda: _systems(configured, reading)).why(query)
        finally:
            reading.close()
    answer(found, json, lambda console: console.print(why_view(found)))
    if not found.trees or found.roots:
        raise typer.Exit(Code.PROBLEMS)


def _systems(configured: Settings, reading: Reading) -> Iterator[SystemView]:
    """The business systems, and whether each answered its dispatcher the last time."""
    silent = reading.troubles()
    for name in configured.erps:
        yield SystemView(name, "", reachable=name not in silent)


def why_view(found: Why) -> RenderableType:
    """The trees, and below them what is to be fixed."""
    if not found.trees:
        return Text(f"Nothing is known of “{found.query}”: no fact, order, lot, posting, message or document has this name.")
    parts: list[RenderableType] = []
    for node in found.trees:
        tree = Tree(_line(node))
        _grow(tree, node)
        parts.append(tree)
    if found.roots:
        parts.append(Text("To be fixed:", "bold"))
        parts += [Text(f"  {root.kind} {root.name}: {root.sentence} {root.remedy}".rstrip(), "red") for root in found.roots]
    else:
        parts.append(Text("Nothing is to be fixed.", "green"))
    if found.more:
        parts.append(Text("There is more than this tells; ask about one of the things above.", "bright_black"))
    return Group(*parts)


def _grow(tree: Tree, node: Node) -> None:
    for each in node.because:
        _grow(tree.add(_line(each)), each)


def _line(node: Node) -> Text:
    text = Text(node.sentence, "red" if node.root else "")
    if node.again:
        text.append(" (told above)", "bright_black")
    elif node.remedy:
        text.append(f" {node.remedy}", "yellow")
    return text

"""`synchromesh demo`: the main job in one command."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synchromesh.cli.frame import Code, Failure, Json

if TYPE_CHECKING:
    from synchromesh.sim.verdict import Verdict

app = typer.Typer()

Facts = Annotated[int, typer.Option("--facts", min=1, help="How many facts to tell when nobody watches (no terminal).")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to serve the page; 0 takes any free port.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed tells the same story.")]


@app.command()
def demo(facts: Facts = 600, port: Port = 0, seed: Seed = 1, as_json: Json = False) -> None:
    """Two simulated plants, a sandbox ERP with faults, the page: live in a terminal, else a fixed number of facts and the verdict."""
    from synchromesh.observe.lines import configure  # noqa: PLC0415 (help must not wait for the engine)

    configure(as_json=False)
    live = sys.stdout.isatty() and not as_json
    try:
        verdict = asyncio.run(_live(seed, port) if live else _silent(seed, port, facts, as_json))
    except (OSError, RuntimeError, ValueError) as error:
        raise Failure(str(error), Code.UNREACHED) from error
    if verdict is not None and not verdict.ok:
        raise typer.Exit(Code.PROBLEMS)


async def _live(seed: int, port: int) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    from synchromesh.app.demo import Demo  # noqa: PLC0415
    from synchromesh.app.process import on_signals  # noqa: PLC0415
    from synchromesh.cli.show import summary_view  # noqa: PLC0415

    console = Console()
    stop = asyncio.Event()
    on_signals(stop)
    running = Demo(seed, port)
    shown: list[str] = []
    with Live(console=console, refresh_per_second=4) as display:

        async def watch(summary: Any) -> None:
            if not shown:
                shown.append(running.address)
                display.console.print(f"the page is at [bold]{running.address}[/bold]; ctrl-C ends the demonstration")
            display.update(summary_view(summary))

        await running.run(None, watch, stop)
    console.print("stopped; nothing is left running")


async def _silent(seed: int, port: int, facts: int, as_json: bool) -> Verdict | None:
    from synchromesh.app.demo import Demo  # noqa: PLC0415
    from synchromesh.app.process import on_signals  # noqa: PLC0415
    from synchromesh.cli.frame import answer  # noqa: PLC0415

    stop = asyncio.Event()
    on_signals(stop)

    async def watch(summary: Any) -> None:
        """Nobody watches."""

    verdict = await Demo(seed, port).run(facts, watch, stop)
    if verdict is not None:
        answer(verdict, as_json, lambda console: console.print(str(verdict)))
    return verdict

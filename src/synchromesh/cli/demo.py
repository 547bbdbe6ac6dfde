"""`synchromesh demo`: the main job in one command."""

from __future__ import annotations

import asyncio
import enum
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synchromesh.cli.frame import Code, Failure, Json

if TYPE_CHECKING:
    from synchromesh.app.demo import Demo
    from synchromesh.app.demo_erp import DemoErp
    from synchromesh.sim.verdict import Verdict

app = typer.Typer(add_completion=False)


class Erp(enum.StrEnum):
    """The ERPs that the demonstration can run on."""

    SANDBOX = "sandbox"
    TRYTON = "tryton"


Chosen = Annotated[Erp, typer.Option("--erp", help="A sandbox with faults, or a real Tryton (the extra `tryton`), set up for you.")]
Facts = Annotated[
    int, typer.Option("--facts", min=0, help="How many facts to tell when nobody watches (no terminal); 0: as many as suit the ERP.")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to serve the page; 0 takes any free port.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed tells the same story.")]


@app.command()
def demo(erp: Chosen = Erp.SANDBOX, facts: Facts = 0, port: Port = 0, seed: Seed = 1, as_json: Json = False) -> None:
    """Two simulated plants, an ERP, the page: live in a terminal, else a fixed number of facts and the verdict."""
    from synchromesh.app.demo import Demo  # noqa: PLC0415 (help must not wait for the engine)
    from synchromesh.connectors.agreement import ConnectorError  # noqa: PLC0415
    from synchromesh.observe.lines import configure  # noqa: PLC0415

    configure(as_json=False)
    live = sys.stdout.isatty() and not as_json
    running = Demo(_maker(erp, seed), seed, port)
    try:
        verdict = asyncio.run(_live(running, erp) if live else _silent(running, facts, as_json))
    except (OSError, RuntimeError, ValueError, ConnectorError) as error:
        raise Failure(str(error), Code.UNREACHED) from error
    if verdict is not None and not verdict.ok:
        raise typer.Exit(Code.PROBLEMS)


def _maker(erp: Erp, seed: int) -> Callable[[Path], DemoErp]:
    if erp is Erp.TRYTON:
        from synchromesh.app.tryton import TrytonErp  # noqa: PLC0415

        return TrytonErp
    from synchromesh.app.sandbox import SandboxErp  # noqa: PLC0415

    return lambda folder: SandboxErp(folder, seed)


async def _live(running: Demo, erp: Erp) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    from synchromesh.app.process import on_signals  # noqa: PLC0415
    from synchromesh.cli.show import summary_view  # noqa: PLC0415

    console = Console()
    stop = asyncio.Event()
    on_signals(stop)
    if erp is Erp.TRYTON:
        console.print("starting Tryton; its first start on this machine takes half a minute")
    shown: list[str] = []
    with Live(console=console, refresh_per_second=4) as display:

        async def watch(summary: Any) -> None:
            if not shown:
                shown.append(running.address)
                display.console.print(f"the page is at [bold]{running.address}[/bold]; ctrl-C ends the demonstration")
            display.update(summary_view(summary))

        await running.run(None, watch, stop)
    console.print("stopped; nothing is left running")


async def _silent(running: Demo, facts: int, as_json: bool) -> Verdict | None:
    from synchromesh.app.process import on_signals  # noqa: PLC0415
    from synchromesh.cli.frame import answer  # noqa: PLC0415

    stop = asyncio.Event()
    on_signals(stop)

    async def watch(summary: Any) -> None:
        """Nobody watches."""

    verdict = await running.run(facts, watch, stop)
    if verdict is not None:
        answer(verdict, as_json, lambda console: console.print(str(verdict)))
    return verdict

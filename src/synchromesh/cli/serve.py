"""`synchromesh serve`: everything in one command, or one role of it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Failure, settings

app = typer.Typer()

Role = Annotated[str, typer.Option("--role", help="Run only one role in this process: gateway, worker or dispatcher.")]
Child = Annotated[bool, typer.Option("--child", hidden=True, help="End when standard input does.")]


@app.command()
def serve(config: Config = DEFAULT_CONFIG, role: Role = "", child: Child = False) -> None:
    """Take facts in, book them in ERP, and show what becomes of each, until ctrl-C."""
    from synchromesh.app.process import end_with_parent  # noqa: PLC0415 (help must not wait for the engine)
    from synchromesh.app.roles import ROLES, prepare  # noqa: PLC0415 (help must not wait for the engine)
    from synchromesh.observe.lines import configure  # noqa: PLC0415 (help must not wait for the engine)

    configured = settings(config)
    configure(as_json=not child)
    if child:
        end_with_parent()
    if role and role not in ROLES:
        raise Failure(f"there is no role {role!r}; the roles are {', '.join(ROLES)}", Code.USAGE)
    try:
        if role != "" and child:
            ROLES[role](configured)
            return
        prepare(configured)
        if role:
            ROLES[role](configured)
        else:
            asyncio.run(_all(config))
    except (OSError, ValueError, RuntimeError) as error:
        raise Failure(str(error), Code.USAGE) from error


async def _all(config: object) -> None:
    from pathlib import Path  # noqa: PLC0415

    from synchromesh.app.process import on_signals  # noqa: PLC0415
    from synchromesh.app.supervisor import Supervisor  # noqa: PLC0415

    stop = asyncio.Event()
    on_signals(stop)
    assert isinstance(config, Path)
    supervisor = Supervisor(config)
    await supervisor.start()
    typer.echo(f"ready at {supervisor.address}")
    await supervisor.run(stop.wait)

"""`synchromesh serve`: everything in one command, or one role of it."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synchromesh.cli.frame import DEFAULT_CONFIG, Code, Config, Failure, settings, stores_in_words, words_of

if TYPE_CHECKING:
    from synchromesh.app.settings import Settings

app = typer.Typer(add_completion=False)

Role = Annotated[str, typer.Option("--role", help="Run only one role in this process: gateway, worker, dispatcher or edge.")]
Child = Annotated[bool, typer.Option("--child", hidden=True, help="End when standard input does.")]


@app.command()
def serve(config: Config = DEFAULT_CONFIG, role: Role = "", child: Child = False) -> None:
    """Take facts in, book them in ERP, and show what becomes of each, until ctrl-C."""
    from synchromesh.app.process import end_with_parent  # noqa: PLC0415 (help must not wait for the engine)
    from synchromesh.app.roles import APART, ROLES  # noqa: PLC0415 (help must not wait for the engine)
    from synchromesh.observe.lines import configure  # noqa: PLC0415 (help must not wait for the engine)

    configured = settings(config)
    configure(as_json=not sys.stderr.isatty())
    if role and role not in ROLES and role not in APART:
        raise Failure(f"there is no role {role!r}; the roles are {', '.join([*ROLES, *APART])}", Code.USAGE)
    with stores_in_words():
        try:
            if child:
                end_with_parent()
                ROLES[role](configured)
            else:
                _hold_and_run(configured, config, role)
        except OSError as error:
            raise Failure(words_of(error), Code.USAGE) from error
        except (ValueError, RuntimeError) as error:
            raise Failure(str(error), Code.USAGE) from error


def _hold_and_run(configured: Settings, config: Path, role: str) -> None:
    from synchromesh.app.holding import Holding  # noqa: PLC0415
    from synchromesh.app.process import stoppable  # noqa: PLC0415
    from synchromesh.app.roles import APART, ROLES, prepare_when_there_is_room  # noqa: PLC0415
    from synchromesh.app.stores import Stores  # noqa: PLC0415
    from synchromesh.observe.lines import emit  # noqa: PLC0415
    from synchromesh.observe.names import STARTED, STOPPED  # noqa: PLC0415

    began = time.monotonic()
    # Where log and state are elsewhere nothing in the folder is anybody's alone, and processes share the work by their leases.
    apart = role in APART
    holding = Holding(configured.synchromesh.data, role, apart=apart) if apart or Stores(configured).of_this_folder else None
    try:
        with stoppable() as stop:
            prepared = apart or prepare_when_there_is_room(configured, stop)
        if not prepared:
            return
        emit(STARTED, version=version("synchromesh"), config=str(config), data=str(configured.synchromesh.data))
        if role:
            {**ROLES, **APART}[role](configured)
        else:
            asyncio.run(_all(config, (holding.parts,) if holding is not None else (), began))
        emit(STOPPED, seconds=round(time.monotonic() - began, 1))
    finally:
        if holding is not None:
            holding.release()


async def _all(config: Path, inherited: tuple[int, ...], began: float) -> None:
    from synchromesh.app.process import on_signals  # noqa: PLC0415
    from synchromesh.app.supervisor import Supervisor  # noqa: PLC0415
    from synchromesh.observe.lines import emit  # noqa: PLC0415
    from synchromesh.observe.names import READY, STOPPING  # noqa: PLC0415

    stop = asyncio.Event()
    on_signals(stop)
    supervisor = Supervisor(config, inherited=inherited)

    starting = asyncio.create_task(supervisor.start())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await supervisor.stop()
        return
    starting.result()
    typer.echo(f"ready at {supervisor.address}")
    emit(READY, address=supervisor.address, seconds=round(time.monotonic() - began, 1))

    async def told() -> None:
        await stop.wait()
        emit(STOPPING, reason="asked to stop")

    await supervisor.run(told)

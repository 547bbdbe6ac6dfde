"""Where log and state are in a run, and what can befall them: files of this machine, PostgreSQL, three JetStream servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from tests.chaos.line import Line

from synchromesh.sim.chance import Chance

Strike = Callable[[Chance], Awaitable[str]]
"""Something that befalls a server: drawn, done and over when it returns; what it was, in words."""


class Engine(Protocol):
    """Log and state of one run. `lines` lead to them, and `strikes` are what can befall them, by name."""

    alone: bool
    """Whether only one process of each role may run."""
    lines: list[Line]

    async def start(self) -> None: ...

    def config(self) -> str:
        """The tables of the configuration file."""
        ...

    def strikes(self) -> Mapping[str, Strike]: ...

    async def mend(self) -> None:
        """Everything works again."""
        ...


class Files:
    """Log and state in files of this machine."""

    alone = True

    def __init__(self) -> None:
        self.lines: list[Line] = []

    async def start(self) -> None:
        """There is nothing to start."""

    def config(self) -> str:
        return ""

    def strikes(self) -> Mapping[str, Strike]:
        return {}

    async def mend(self) -> None:
        """There is nothing to mend."""


def engine(log: str, state: str, folder: Path, stack: ExitStack) -> Engine:
    """The engine of these names; what it starts ends with the stack."""
    if (log, state) == ("sqlite", "sqlite"):
        return Files()
    from tests.chaos import servers  # noqa: PLC0415 - only these runs need the servers' packages

    return servers.engine(log, state, folder, stack)

"""What the demonstration wants of an ERP: its own, empty at the beginning, and open to inspection at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from synchromesh.sim.evidence import Books
from synchromesh.sim.history import Stream
from synchromesh.sim.told import Known, Scene


class DemoErp(Protocol):
    """One ERP for one demonstration. Every failure is an `OSError`, a `RuntimeError` or a `ConnectorError` with a sentence for a person."""

    @property
    def name(self) -> str:
        """Its connector's."""
        ...

    @property
    def facts(self) -> int:
        """How many facts are told when nobody watches, unless said otherwise."""
        ...

    def story(self, seed: int, start: datetime) -> Stream:
        """What the plants do, at a pace that it can follow and in items and units that it can keep."""
        ...

    async def start(self) -> Mapping[str, object]:
        """Start, with nothing in the books; the settings with which its connector reaches it. May take a minute."""
        ...

    async def open_books(self, masters: Sequence[Known], scene: Scene) -> None:
        """Enter what is known before the first fact: items, locations, opening stock."""
        ...

    async def learn(self, known: Known) -> None:
        """Enter something that it knows from now on. Raises `TypeError` for what it has no place for."""
        ...

    async def books(self) -> Books:
        """The books as they were left, by its own records. It may have to be stopped for it: nothing more can be booked after."""
        ...

    async def stop(self) -> None:
        """Stop, if it runs; nothing of it is left running."""
        ...

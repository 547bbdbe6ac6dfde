"""Installations without processes that were told something and folded most of it, for what is done with a whole installation."""

from __future__ import annotations

import subprocess
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from tests.app.installation import command
from tests.app.test_series import Installation as Quiet

from synchromesh.app.stores import Stores
from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.quantity import Quantity

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Told(Quiet):
    """An installation that was told facts of three orders, of which it knows one, and folded all but the last of them."""

    def __init__(self, folder: Path, facts: int = 250, *, trimmed: int = 0, unfolded: int = 3, engines: str = "") -> None:
        self.begin(folder, engines)
        self.start()
        self.say(ev.LocationChanged("FG"), ev.ItemChanged("GEAR", "EA"), ev.OrderChanged("4711", "GEAR", ea(facts), location="FG"))
        self.report(facts - unfolded)
        self.fold()
        if trimmed:
            stores = Stores(self.settings)
            with closing(stores.log()) as log:
                log.trim("oslo", trimmed // 2)
                log.trim("oslo", trimmed)
        self.report(unfolded)

    def begin(self, folder: Path, engines: str = "") -> None:
        """The configuration, with the tables of log and state where they are not files, and nothing else yet."""
        folder.mkdir()
        super().__init__(folder)
        self.config = folder / "synchromesh.toml"
        self.config.write_text(self.config.read_text("utf-8") + engines, "utf-8")

    def say(self, *events: ev.CanonicalEvent) -> None:
        with closing(Stores(self.settings).log()) as log:
            head = log.head().get("oslo", 0)
            now = datetime.now(UTC)
            log.append(
                [
                    Message("oslo", "mes", f"m{head + index}", NATIVE, now, _encode(event), occurred=now)
                    for index, event in enumerate(events)
                ]
            )

    def report(self, count: int) -> None:
        self.say(*(ev.ProductionReported(("4711", "4712", "4713")[index % 3], good=ea(1)) for index in range(count)))

    def messages(self) -> list[Message]:
        return [record.message for record in Stores(self.settings).history("oslo")]

    def rows(self) -> list[tuple[str, str, bytes]]:
        with closing(Stores(self.settings).state()) as state:
            return list(state.rows("oslo"))

    def command(self, verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return command(verb, *arguments, "--config", self.config)


def ea(amount: int) -> Quantity:
    return Quantity(Decimal(amount), "EA")


def empty(folder: Path, engines: str = "") -> Told:
    """An installation of the same configuration in which nothing has happened."""
    made = Told.__new__(Told)
    made.begin(folder, engines)
    return made

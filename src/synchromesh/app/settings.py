"""The settings as typed, frozen values. `app.reading` makes them from one TOML file; everything below is handed its part.

The text under each field is its entry in the reference of options. A relative path is relative to the folder of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, field

from synchromesh.engine.sending import Limits as SendingLimits
from synchromesh.engine.sending import Retry
from synchromesh.plant.policy import Policy

DERIVED: Final = {
    "target": "it is the plant's `erp`",
    "zone": "it is the plant's `zone`",
    "differences": "the connector tells it",
    "series": "it is made at the plant's first start",
}
"""Fields of a policy that the file can't set, and where each comes from: a second place could only contradict."""

PLANT_ID: Final = "^[a-z0-9-]{1,32}$"

Name = Annotated[str, Meta(min_length=1, max_length=64, description="a text of 1 to 64 characters")]
Address = Annotated[
    str,
    Meta(pattern="^[a-z][a-z0-9+.-]*:", max_length=2000, description="an address such as `sqlite:` or `postgresql://user@host/database`"),
]
Port = Annotated[int, Meta(ge=0, le=65535, description="a whole number from 0 to 65535")]
Positive = Annotated[int, Meta(ge=1, le=10**12, description="a whole number from 1 up")]
PlantId = Annotated[str, Meta(pattern=PLANT_ID, description="1 to 32 of the characters a-z, 0-9 and -")]
TimeOfDay = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Character = Annotated[str, Meta(min_length=1, max_length=1, description="one character in quotes")]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all tables of the file share: frozen, and a key that is not theirs is an error."""


class General(Section, frozen=True):
    """The installation as a whole."""

    name: Name = "synchromesh"
    """What the page and the log lines call this installation."""

    data: Path = Path("data")
    """The folder that holds the log and the state. It is made at the first start; back it up as a whole."""


class Http(Section, frozen=True):
    """The address of the HTTP edge, the page and the API."""

    host: Name = "127.0.0.1"
    """The address to listen on. There is no log-in: anything but this machine's own address belongs behind a proxy that has one."""

    port: Port = 8080
    """The port to listen on. 0 takes any free one and prints it."""

    max_body: Positive = 1_000_000
    """The largest body that is read, in bytes; a larger one is refused with 413 before it is read."""


class Log(Section, frozen=True):
    """Where messages are kept as they came."""

    address: Address = "sqlite:"
    """Where the log is. `sqlite:` keeps it in a file of the data folder; what stands before the colon is the name of a plug-in, and its own
    settings are further keys of this table."""

    archive: Annotated[str, Meta(min_length=1, description="a folder")] = "archive"
    """The folder of what left the log, inside the data folder unless the path is absolute. Workers on several machines need one that all
    of them see."""

    keep: Positive = 1_000_000
    """Messages that stay in the log of each plant; older ones that are folded go to compressed segments in the archive."""

    settings: Mapping[str, object] = {}
    """The rest of the table."""

    def __repr__(self) -> str:
        """Without the address and the settings: they may hold a password."""
        return f"Log({self.address.partition(':')[0]!r})"


class State(Section, frozen=True):
    """Where facts, postings and exceptions are kept."""

    address: Address = "sqlite:"
    """Where the state is. `sqlite:` keeps it in a file of the data folder; what stands before the colon is the name of a plug-in, and its
    own settings are further keys of this table."""

    settings: Mapping[str, object] = {}
    """The rest of the table."""

    def __repr__(self) -> str:
        """Without the address and the settings: they may hold a password."""
        return f"State({self.address.partition(':')[0]!r})"


class Limits(Section, frozen=True):
    """Bounds of memory and of work in progress. The defaults suit a machine with two cores and 1 GB."""

    waiting_messages: Positive = 20_000
    """Messages that may wait to be stored; a source that sends more is asked to try again later."""

    waiting_bytes: Positive = 64_000_000
    """Bytes of messages that may wait to be stored."""

    batch: Positive = 4_000
    """The most messages that are folded and committed together. A batch is smaller when less is waiting."""


class Files(Section, frozen=True):
    """A drop folder: each CSV file put there is read once, row by row, and moved to `done` or `failed` below it."""

    folder: Path
    """The folder to watch. It must exist, and its files must be movable."""

    interface: Name
    """The adapter that reads the rows, as `name/version`."""

    delimiter: Character = ","
    """The character between two columns."""

    encoding: Name = "utf-8"
    """The encoding of the files, as Python names it."""


class Reconcile(Section, frozen=True):
    """When a plant's books are compared by themselves. Without hours and times they are compared on demand only."""

    every_hours: Annotated[int, Meta(ge=0, le=8784, description="a whole number from 0 to 8784")] = 0
    """Hours between two runs. 0: only at the times of day."""

    at: Annotated[tuple[TimeOfDay, ...], Meta(description='times of day such as ["06:00", "22:00"]')] = ()
    """Times of day in the plant's zone, such as `["06:00", "22:00"]`."""

    what: Annotated[tuple[Literal["stock", "orders", "states"], ...], Meta(description='some of "stock", "orders" and "states"')] = (
        "stock",
        "orders",
        "states",
    )
    """What is compared."""


class Plant(Section, frozen=True):
    """One plant (a site, in the terms of ISA-95)."""

    id: PlantId
    """The plant's name in addresses and keys. It never changes once facts were told. `enterprise` is taken."""

    zone: ZoneInfo
    """The IANA time zone of the plant: it decides on which day a fact is booked."""

    erp: Name
    """The business system that books this plant's postings: the name of an `[erp.NAME]` table."""

    state: Annotated[str, Meta(max_length=64, description="the name of a `[states.NAME]` table")] = ""
    """In which further database the plant's state is: the name of a `[states.NAME]` table, or nothing for `[state]`. All plants of one
    business system are in the same one. It is chosen before the plant's first start and stays."""

    adapters: tuple[Path, ...] = ()
    """Folders of the adapters that read this plant's payloads. Canonical events need none."""

    files: tuple[Files, ...] = ()
    """Drop folders, each a `[[plant.files]]` table."""

    policy: Policy = Policy()
    """What becomes a document and when: the `[plant.policy]` table."""

    reconcile: Reconcile = Reconcile()
    """When books are compared by themselves: the `[plant.reconcile]` table."""


class Erp(Section, frozen=True):
    """One business system. All keys beside these are the connector's own; `{ env = "NAME" }` takes a value from the environment."""

    connector: Name
    """Which connector to use, by the name of its plug-in."""

    limits: SendingLimits = SendingLimits()
    """How much it is sent: the `[erp.NAME.limits]` table."""

    retry: Retry = Retry()
    """What is tried again, and until when: the `[erp.NAME.retry]` table."""

    settings: Mapping[str, object] = {}
    """The rest of the table."""

    def __repr__(self) -> str:
        """Without the settings: they may hold a password."""
        return f"Erp(connector={self.connector!r})"


class Settings(Section, frozen=True):
    """The whole file."""

    synchromesh: General = General()
    http: Http = Http()
    log: Log = Log()
    state: State = State()
    states: dict[str, State] = {}
    limits: Limits = Limits()
    plants: tuple[Plant, ...] = field(name="plant", default=())
    erps: dict[str, Erp] = field(name="erp", default_factory=dict)

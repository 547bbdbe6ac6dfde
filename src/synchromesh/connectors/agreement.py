"""The agreement that every connector keeps, and that the contract suite in `tests/contracts/connector.py` checks.

A connector translates: postings into the business system's documents, its errors into categories, its changes into
messages. It holds no state that must survive: after a crash a new instance, given only its settings, can answer `find` for
everything that was ever sent. It never retries by itself and never sleeps; the dispatcher decides that.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from synchromesh.model.posting import Posting, PostingKind, Reply
from synchromesh.model.quantity import Quantity


class Grade(enum.StrEnum):
    """What the business system makes of a repeated key, and so what the promise is worth there."""

    UNIQUE = "unique"
    """It refuses a repeated key, answering with the first document: exactly once, whatever happens."""
    ASKABLE = "askable"
    """It can be asked whether a key is booked: once, as long as one sender at a time waits the settle time after a takeover."""
    BLIND = "blind"
    """It cannot be asked: at most once, and doubt becomes an exception that a person settles."""


class Abilities(msgspec.Struct, frozen=True):
    """What a business system can do. The core asks this and never which system it is.

    `batch` is the most postings one call may carry, `concurrency` the most calls at a time, `settle_seconds` how long after
    a request was given up it may still commit, `differences` whether a negative line may take back part of what was booked, `stock`
    whether `balances` tells what is on the books.
    """

    grade: Grade
    kinds: frozenset[PostingKind]
    batch: int = 1
    concurrency: int = 1
    settle_seconds: float = 0.0
    differences: bool = False
    stock: bool = True


class Finding(msgspec.Struct, frozen=True):
    """The answer to `find`. `booked` carries the reply that the first sending would have had, `absent` is certain now but
    the first request may still be running (law 4), `silent` means the system cannot say."""

    state: FindingState
    reply: Reply | None = None


class FindingState(enum.StrEnum):
    BOOKED = "booked"
    ABSENT = "absent"
    SILENT = "silent"


class Pulled(msgspec.Struct, frozen=True):
    """What changed in the business system since a cursor.

    Each change is (identity, canonical type, JSON bytes of the event's data); identities are stable, so that a change pulled twice is told
    once. `cursor` is opaque and is handed back on the next pull; '' at the first.
    """

    changes: Sequence[Change]
    cursor: str


class Change(msgspec.Struct, frozen=True):
    """One change in the business system: a canonical event in the making. `plant` is '' for what belongs to no plant or all."""

    id: str
    type: str
    data: bytes
    plant: str = ""


class Balance(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stock on the business system's books at one place."""

    item: str
    location: str
    quantity: Quantity
    lot: str = ""
    status: str = ""
    owner: str = ""


class OrderTotal(msgspec.Struct, frozen=True):
    """What the books hold of one kind (receipt, scrap or issue) and item for one order, in the item's own unit, less what was taken
    back."""

    order: str
    kind: PostingKind
    item: str
    quantity: Quantity


class ConnectorError(Exception):
    """The business system could not be reached or answered nonsense; nothing is known about any posting by it."""


class Connector(Protocol):
    """One business system. Used from one event loop."""

    abilities: Abilities

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        """Book the postings, each once; one reply each, in the same order.

        Never raises for what happens on the way: a failure before anything can have been booked is `Fate.RETRY`, one after which
        it may have been is `Fate.DOUBT`. Their refusal's subject is `subject.SYSTEM` when the system as a whole is the cause, which
        then is left alone; any other subject is a trouble of that posting only. `Fate.POSTED` only after the books were read back.
        `Fate.ACCEPTED` and `Fate.PARKED` are asked about with `find` until they are decided. Cancelling the call leaves doubt.
        """
        ...

    async def find(self, key: str) -> Finding:
        """Whether a posting with this key is booked. Raises `ConnectorError` when the system cannot be reached."""
        ...

    async def pull(self, cursor: str) -> Pulled:
        """Changes since the cursor: orders, items, locations, periods, documents that others booked or cancelled.
        A bounded number a call; no changes means the end for now. Raises `ConnectorError`."""
        ...

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        """Stock by item, location, lot, status and owner; all items when none is named. Raises `ConnectorError`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class TellsOrders(Protocol):
    """A business system that tells what is booked for an order: an ability beside the agreement, which a connector has or has not."""

    async def order_totals(self, orders: Sequence[str]) -> list[OrderTotal]:
        """Totals of these orders that are not zero; nothing for an order that is not known. Raises `ConnectorError`."""
        ...


class ConnectorFactory(Protocol):
    """What the entry point group `synchromesh.connectors` names: it makes a connector from its table in the settings.

    Raises `ValueError` naming the wrong key and what to write instead.
    """

    def __call__(self, settings: Mapping[str, object]) -> Connector: ...

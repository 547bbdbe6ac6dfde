"""The agreement of a log, checked by the contract suite in `tests/contracts/log.py` on every implementation.

A log holds one gapless sequence of messages per partition. An append is durable when it returns; a reader sees positions in
order, never a later one before an earlier one, whatever other appenders are doing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from synchromesh.model.message import Message, Record


class Place(msgspec.Struct, frozen=True):
    """Where a log or a state is kept, as the settings say: what an implementation opens.

    `address` begins with the implementation's name and a colon. `folder` is the folder of this machine for what the installation keeps in
    files, `archive` the one for what was trimmed. `installation` is the name of the whole. `more` are the table's other keys, which only
    the implementation knows: it refuses those that it does not with `ValueError`.
    """

    address: str
    folder: Path
    archive: Path
    installation: str = "synchromesh"
    more: Mapping[str, object] = {}


def known_only(place: Place, *keys: str) -> None:
    """Refuse settings other than these. Raises `ValueError` naming the first one."""
    for key in place.more:
        if key not in keys:
            kind = place.address.partition(":")[0]
            raise ValueError(f"{key} is no setting of {kind}; " + (f"it has {', '.join(keys)}" if keys else "it has none of its own"))


MOST_PARTITIONS: Final = 1_000
"""How many partitions one append may reach in any log."""


class LogError(Exception):
    """The log can't do what was asked; nothing was appended. The text says what, where and what to do."""


class LogFull(LogError):
    """There is no room to append (a full disk). Nothing was appended; it may work later."""


class LogAway(LogError):
    """The log can't be reached just now. Whether the messages of an append are in it is not known; it may work later."""


class LogCorrupt(LogError):
    """The stored log is damaged. It is never repaired silently."""


class Trimmed(LogError):
    """Positions were asked for that are no longer in the log; the archive has them."""


class Log(Protocol):
    """The log of all partitions. Safe for use from many threads and processes at a time."""

    def append(self, messages: Sequence[Message]) -> list[int]:
        """Append all messages, durably and all or none, and return each one's position in its own partition. They are of `MOST_PARTITIONS`
        partitions at the most.

        Raises `LogFull` or `LogError`; then none of the messages is in the log. After `LogAway` nobody knows: a source that sends again is
        told apart by its identity.
        """
        ...

    def read(self, after: Mapping[str, int], limit: int) -> dict[str, list[Record]]:
        """Messages behind the given positions, in order, at most `limit` in all and fairly among the partitions.
        Partitions without news are left out. Raises `Trimmed` when a first asked position is gone."""
        ...

    def head(self) -> dict[str, int]:
        """The last position of every partition that has any."""
        ...

    def wait(self, after: Mapping[str, int], timeout: float) -> bool:
        """Block until any partition may have news behind `after`, at most `timeout` seconds; whether there may be any."""
        ...

    def trim(self, partition: str, through: int) -> None:
        """Archive and then forget all positions up to and including `through`. The sequence goes on where it was."""
        ...

    def resume(self, partition: str, after: int, chain: str) -> None:
        """Let a partition that was never told anything go on behind `after`, as if it had been trimmed through there into an archive whose
        last segment has the SHA-256 `chain`: for a log that is moved here. Raises `LogError` where the partition has messages."""
        ...

    def chain(self, partition: str) -> str:
        """The SHA-256 of the partition's last archived segment, '' if there is none: what `read_archive` must end with."""
        ...

    def id(self) -> str:
        """What tells this log from every other one: made with the log, and never changed. A state remembers whose positions it has."""
        ...

    def close(self) -> None: ...

"""A log in memory: the agreement's plainest form, for tests and for the simulator.

Messages are kept encoded, as a stored log keeps them, so that a reader gets values of the same shape (times in UTC) from both.
The log outlives the simulated processes that use it: what `append` acknowledged is there whenever they crash.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence

from synchromesh.log.agreement import LogError, Trimmed
from synchromesh.log.encoding import decode, encode
from synchromesh.log.fairness import shares
from synchromesh.model.message import Message, Record

Hook = Callable[[Sequence[Message]], None]


class MemoryLog:
    """All partitions in this process. Safe for threads.

    `before_append` may raise: then nothing is appended (a full disk, a crash before). `after_append` may raise: then the messages are
    in the log and the caller does not know it (a crash before the acknowledgement).
    """

    def __init__(self, before_append: Hook | None = None, after_append: Hook | None = None) -> None:
        self.before_append = before_append
        self.after_append = after_append
        self._bodies: dict[str, list[bytes]] = {}
        self._archived: dict[str, list[bytes]] = {}
        self._resumed: dict[str, tuple[int, str]] = {}
        self._id = secrets.token_hex(8)
        self._news = threading.Condition()

    def append(self, messages: Sequence[Message]) -> list[int]:
        bodies = [encode(message) for message in messages]
        if self.before_append is not None:
            self.before_append(messages)
        positions: list[int] = []
        with self._news:
            for message, body in zip(messages, bodies, strict=True):
                self._bodies.setdefault(message.partition, []).append(body)
                positions.append(self._head(message.partition))
            self._news.notify_all()
        if self.after_append is not None:
            self.after_append(messages)
        return positions

    def read(self, after: Mapping[str, int], limit: int) -> dict[str, list[Record]]:
        with self._news:
            for partition, position in after.items():
                gone = self._gone(partition)
                if position < gone:
                    raise Trimmed(f"partition {partition}: positions through {gone} are in the archive; {position + 1} was asked for")
            counts = {partition: self._head(partition) - position for partition, position in after.items()}
            return {
                partition: self._slice(partition, after[partition], share) for partition, share in shares(counts, limit).items() if share
            }

    def head(self) -> dict[str, int]:
        with self._news:
            return {partition: self._head(partition) for partition in self._bodies}

    def wait(self, after: Mapping[str, int], timeout: float) -> bool:
        with self._news:
            return self._news.wait_for(lambda: any(self._head(partition) > position for partition, position in after.items()), timeout)

    def trim(self, partition: str, through: int) -> None:
        with self._news:
            if through > self._head(partition):
                raise LogError(f"partition {partition} ends at {self._head(partition)}: it can't be trimmed through {through}")
            archived = self._archived.setdefault(partition, [])
            bodies = self._bodies.get(partition, [])
            count = max(0, through - self._gone(partition))
            archived.extend(bodies[:count])
            del bodies[:count]

    def archived(self, partition: str) -> list[Record]:
        """What `trim` has taken out of the log, in order."""
        with self._news:
            first = self._resumed.get(partition, (0, ""))[0] + 1
            return [Record(position, decode(body)) for position, body in enumerate(self._archived.get(partition, ()), first)]

    def resume(self, partition: str, after: int, chain: str) -> None:
        with self._news:
            if self._head(partition):
                raise LogError(f"partition {partition} has messages through {self._head(partition)}: it can't begin behind {after}")
            self._bodies[partition] = []
            self._resumed[partition] = (after, chain)

    def chain(self, partition: str) -> str:
        """As agreed; what is trimmed here stays in memory, without a chain."""
        return self._resumed.get(partition, (0, ""))[1]

    def id(self) -> str:
        return self._id

    def close(self) -> None:
        """Nothing to give back: the messages live as long as the object."""

    def _gone(self, partition: str) -> int:
        return self._resumed.get(partition, (0, ""))[0] + len(self._archived.get(partition, ()))

    def _head(self, partition: str) -> int:
        return self._gone(partition) + len(self._bodies.get(partition, ()))

    def _slice(self, partition: str, after: int, count: int) -> list[Record]:
        start = after - self._gone(partition)
        bodies = self._bodies[partition][start : start + count]
        return [Record(position, decode(body)) for position, body in enumerate(bodies, after + 1)]

"""Laws broken on purpose in one role's processes: a run that does not find them could find nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final


def write_without_epoch() -> None:
    """Leases: a worker does not ask whether it still has what it writes, and takes its time between reading and writing."""
    from synchromesh.state.postgres.store import PostgresState  # noqa: PLC0415 - only the process that it breaks loads it

    commit = PostgresState.commit

    def late(self: PostgresState, epochs: Mapping[str, int], batch: Sequence[Any]) -> None:
        time.sleep(0.2)
        commit(self, epochs, batch)

    setattr(PostgresState, "commit", late)  # noqa: B010 - so it is said that something is replaced
    setattr(PostgresState, "_check", lambda *_: None)  # noqa: B010 - as above


def resend_after_takeover() -> None:
    """Law 4: what was taken over is sent again without asking."""
    from synchromesh.engine import dispatcher  # noqa: PLC0415 - as above

    made = dispatcher.Job

    def fresh(*arguments: Any, **fields: Any) -> Any:
        return made(*arguments, **{**fields, "doubtful": False})

    vars(dispatcher)["Job"] = fresh


def acknowledge_first() -> None:
    """Law 1: a source hears "received" a moment before its messages are durable."""
    from synchromesh.edges.intake import GroupIntake  # noqa: PLC0415 - as above

    accept = GroupIntake.accept
    accepting = set()

    async def early(self: GroupIntake, messages: Sequence[Any]) -> list[int]:
        async def later() -> None:
            await asyncio.sleep(0.2)
            await accept(self, messages)

        task = asyncio.create_task(later())
        accepting.add(task)
        task.add_done_callback(accepting.discard)
        return [1] * len(messages)

    setattr(GroupIntake, "accept", early)  # noqa: B010 - as above


SABOTAGES: Final[Mapping[str, Callable[[], None]]] = {
    "write without epoch": write_without_epoch,
    "resend after takeover": resend_after_takeover,
    "acknowledge first": acknowledge_first,
}

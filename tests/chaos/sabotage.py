"""Laws broken on purpose in one role's processes: a run that does not find them could find nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final


def resend_after_takeover() -> None:
    """Law 4: what was taken over is sent again without asking."""
    from synchromesh.engine import dispatcher  # noqa: PLC0415 - only the process that it breaks loads it

    made = dispatcher.Job

    def fresh(*arguments: Any, **fields: Any) -> Any:
        fields["doubtful"] = False
        return made(*arguments, **fields)

    vars(dispatcher)["Job"] = fresh


def acknowledge_first() -> None:
    """Law 1: a source hears "received" before its message is durable, which here it never is when the process dies."""
    import asyncio  # noqa: PLC0415

    from synchromesh.edges.intake import GroupIntake  # noqa: PLC0415

    accept = GroupIntake.accept
    kept = set()

    async def early(self: Any, messages: Any) -> Any:
        task = asyncio.create_task(accept(self, messages))
        kept.add(task)
        await asyncio.sleep(0)
        return [0] * len(messages)

    vars(GroupIntake)
    GroupIntake.accept = early  # type: ignore[method-assign]


SABOTAGES: Final[Mapping[str, Callable[[], None]]] = {
    "resend after takeover": resend_after_takeover,
    "acknowledge first": acknowledge_first,
}

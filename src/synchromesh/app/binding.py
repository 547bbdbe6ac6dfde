"""Whether a state belongs to the log beside it. A state remembers its log's id; while an installation is being restored or moved it
remembers that instead, so that nothing starts on a half of it, and where it has gone when it has been moved away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from synchromesh.log.agreement import Log, LogError, Trimmed

UNFINISHED: Final = "unfinished "
"""What a state is bound to while it is filled: this, and what fills it."""

MOVED: Final = "moved to "
"""What a state is bound to that has been moved away: this, and the id of the log that goes on."""


def same_log(known: str, id: str) -> None:
    """Refuse a state that is not of this log: it is another installation's, the log was made anew, or it is restored or moved just now.
    Raises `LogError`."""
    if known == id:
        return
    if known.startswith(UNFINISHED):
        raise LogError(
            f"the {known.removeprefix(UNFINISHED)} into this installation is not finished; nothing was taken in: repeat that command"
        )
    if known.startswith(MOVED):
        raise LogError(
            f"this installation has been moved to the log {known.removeprefix(MOVED)}; nothing was taken in: start with the configuration "
            "that it was moved to"
        )
    raise LogError(
        f"the state belongs to the log {known}, and this log is {id}: two installations use one state, or the log is missing; "
        "nothing was taken in: correct the address of log or state, or put back the log that belongs to this state"
    )


def same_history(heads: Mapping[str, int], positions: Mapping[str, int], data: Path) -> None:
    """Refuse a log that is missing or older than the state: what it is told from now on would stand at positions that the state has
    passed, and never be folded. Raises `LogError`."""
    for plant, position in positions.items():
        if heads.get(plant, 0) < position:
            raise LogError(
                f"the log in {data} ends at position {heads.get(plant, 0)} of {plant}, but the state knows it up to {position}: the log is "
                "missing or an older copy; nothing was taken in: put back log and archive that belong to this state, or the data "
                "folder as a whole from one backup"
            )


def within_reach(log: Log, positions: Mapping[str, int]) -> None:
    """Refuse a state that stands before what the log still has: what it lacks is in the archive, which no worker reads. Raises
    `LogError`."""
    for partition in log.head():
        position = positions.get(partition, 0)
        try:
            log.read({partition: position}, 1)
        except Trimmed as error:
            raise LogError(
                f"the state stands at position {position} of {partition}, and the log no longer has what comes next: it is in the archive; "
                "nothing was taken in: make the state anew with `synchromesh rebuild`"
            ) from error

"""Long work as people see it: asked for, on its way, done."""

from __future__ import annotations

import msgspec

from synchromesh.model.posting import Aware


class Busy(RuntimeError):
    """Another work of this kind is on its way; nothing was begun."""


class JobView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One piece of work. `state` is idle (nothing was asked for yet), running, done or failed. While it runs, `doing` says what it is at,
    and `done` of `end` how far. `result` is there when it is done, and `problem` says why it failed."""

    state: str
    kind: str = ""
    began: Aware | None = None
    ended: Aware | None = None
    doing: str = ""
    done: int = 0
    end: int = 0
    result: object = None
    problem: str = ""

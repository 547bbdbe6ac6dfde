"""Verification: every plant is rebuilt from its log and compared with what is stored, row by row."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine.rebuild import Difference, differences, rebuild
from synchromesh.state.agreement import State

SHOWN: Final = 20
"""Differences that are told of one partition; the first is the one to look at."""


class Verified(msgspec.Struct, frozen=True):
    """One partition: how far it was rebuilt, and how it differs from what is stored."""

    partition: str
    position: int
    rebuilt: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return self.rebuilt == self.position and not self.differences


def verify(settings: Settings, progress: Callable[[str, int, int], None]) -> list[Verified]:
    """Rebuild every partition beside the running system and compare; nothing of it is changed. `progress` hears partition,
    end and position.

    Raises `LogError`, `LogCorrupt` (a broken chain of the archive, too) and `StateError`.
    """
    stores = Stores(settings)
    found: list[Verified] = []
    with tempfile.TemporaryDirectory(prefix="synchromesh-verify-", dir=settings.synchromesh.data) as folder:
        for number, part in enumerate(stores.placing.parts):
            copy = Path(folder) / f"part {number}"
            copy.mkdir()
            kept = stores.frozen(copy, part)
            found += [_verified(stores, kept, *each, copy, progress) for each in sorted(kept.positions().items())]
            kept.close()
    return found


def _verified(
    stores: Stores, kept: State, partition: str, position: int, folder: Path, progress: Callable[[str, int, int], None]
) -> Verified:
    scratch = stores.scratch(folder / partition)
    reached = rebuild(partition, stores.history(partition), position, scratch, partial(progress, partition, position))
    first = tuple(islice(differences(partition, kept.rows(partition), scratch.rows(partition)), SHOWN))
    scratch.close()
    return Verified(partition, position, reached, first)

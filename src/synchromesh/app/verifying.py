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
    found = []
    with tempfile.TemporaryDirectory(prefix="synchromesh-verify-", dir=settings.synchromesh.data) as folder:
        kept = stores.frozen(Path(folder))
        for partition, position in sorted(kept.positions().items()):
            scratch = stores.scratch(Path(folder) / partition)
            reached = rebuild(partition, stores.history(partition), position, scratch, partial(progress, partition, position))
            first = tuple(islice(differences(partition, kept.rows(partition), scratch.rows(partition)), SHOWN))
            found.append(Verified(partition, position, reached, first))
            scratch.close()
        kept.close()
    return found

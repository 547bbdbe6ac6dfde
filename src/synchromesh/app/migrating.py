"""Bringing log and state to the versions of this program without a start: by a role that may change tables, before those that may not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from synchromesh.app.holding import Holding
from synchromesh.app.placing import whole_only
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.log.agreement import Version


class Migration(msgspec.Struct, frozen=True):
    """Log and state as they were found. `done` tells whether they are now of this program's versions."""

    log: Version
    state: Version
    done: bool

    @property
    def due(self) -> bool:
        """Whether there was anything to do."""
        return self.log.due or self.state.due


def migrate(settings: Settings, *, dry_run: bool) -> Migration:
    """Make or migrate log and state where that is needed; with `dry_run` only look.

    Both are looked at before either is changed, so one that a newer program made leaves both as they are. Raises `LogError`, `StateError`
    and `ValueError` for what can't be used, `RuntimeError` where somebody works on the folder that holds them.
    """
    whole_only(settings, "migrating")
    stores = Stores(settings)
    if dry_run:
        log, state = stores.versions()
        return Migration(log, state, done=not (log.due or state.due))
    with _held(stores, settings):
        log, state = stores.versions()
        if log.due:
            stores.log().close()
        if state.due:
            stores.state().close()
    return Migration(log, state, done=True)


@contextmanager
def _held(stores: Stores, settings: Settings) -> Iterator[None]:
    """Files of the folder are this process's alone; in a database an older program may go on beside it."""
    if not stores.of_this_folder:
        yield
        return
    holding = Holding(settings.synchromesh.data, "")
    try:
        yield
    finally:
        holding.release()

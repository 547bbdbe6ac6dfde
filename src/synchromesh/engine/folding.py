"""Folding a batch of one partition's records: read, prefetch, fold, flush. The worker and the rebuilding of a plant share it, so that
there is one way in which a log becomes state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from synchromesh.engine import foresight
from synchromesh.engine.reader import PLAIN, Reader
from synchromesh.model.message import Record
from synchromesh.model.quantity import exactly
from synchromesh.plant.fact import Told
from synchromesh.plant.fold import fold
from synchromesh.plant.rows import Changes
from synchromesh.plant.view import Loads, View

ATTEMPTS: Final = 2
"""How often a message may crash the fold before it is set aside (law 5)."""

DEFECTS: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RecursionError, TypeError, ValueError)
"""What a defect of ours raises while a message is folded. Errors of the store and of the system are none of them."""


class Folding:
    """One partition on its way from position to position. `quarantined` is told of a message that is set aside for the first time."""

    def __init__(self, partition: str, store: Loads, quarantined: Callable[[Record, str], None]) -> None:
        self.view = View(partition, store)
        self._reader = Reader(self.view)
        self._quarantined = quarantined
        self._crashes: dict[int, list[str]] = {}
        self._ahead: tuple[Sequence[Record], list[Told]] | None = None

    def look_ahead(self, records: Sequence[Record]) -> None:
        """Read what the next fold will be given, as far as nothing has to be asked of the store for that."""
        self._ahead = None
        if not self._crashes and all(record.message.interface in PLAIN for record in records):
            self._reader.batch()
            with suppress(_CrashedError):  # it crashes again when its turn comes
                self._ahead = (records, self._told(records))

    def forget(self) -> None:
        """Nothing of what was folded or read ahead is true."""
        self.view.forget()
        self._ahead = None

    def fold(self, records: Sequence[Record]) -> Changes:
        """All changes of these records. One that crashes the fold twice is set aside with an exception, and the others go on (law 5)."""
        while True:
            try:
                return self._attempt(records)
            except _CrashedError as crash:
                self.forget()
                self._count(crash)

    def _attempt(self, records: Sequence[Record]) -> Changes:
        told = self._read_ahead(records)
        foresight.prefetch(self.view, told)
        with exactly():
            for record, each in zip(records, told, strict=True):
                try:
                    fold(self.view, each)
                except DEFECTS as error:
                    raise _CrashedError(record, error) from error
        return self.view.flush()

    def _read_ahead(self, records: Sequence[Record]) -> list[Told]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] is records:
            return ahead[1]
        self._reader.batch()
        return self._told(records)

    def _told(self, records: Sequence[Record]) -> list[Told]:
        read = self._read if self._crashes else self._reader.read
        told = []
        for record in records:
            try:
                told.append(read(record))
            except DEFECTS as error:
                raise _CrashedError(record, error) from error
        return told

    def _read(self, record: Record) -> Told:
        crashes = self._crashes.get(record.position, [])
        if len(crashes) < ATTEMPTS:
            return self._reader.read(record)
        message = record.message
        refused = f"The message crashed the fold and was set aside ({crashes[0]})."
        return Told(
            record.position, message.source, message.id, message.interface, message.received, None, (), message.body, refused=refused
        )

    def _count(self, crash: _CrashedError) -> None:
        """Note a crash; one more of a message that is already set aside is a defect that nothing can go around."""
        crashes = self._crashes.setdefault(crash.record.position, [])
        if len(crashes) >= ATTEMPTS:
            raise crash.error
        crashes.append(f"{type(crash.error).__name__}: {crash.error}"[:500])
        if len(crashes) == ATTEMPTS:
            self._quarantined(crash.record, crashes[0])


class _CrashedError(Exception):
    """Folding `record` raised `error`."""

    def __init__(self, record: Record, error: Exception) -> None:
        super().__init__(str(error))
        self.record = record
        self.error = error

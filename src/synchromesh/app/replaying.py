"""Replay over an installation: which messages, by which mapping, into the live plant or into a rehearsal beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app.adapters import Adapters
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine import rehearsal, replay
from synchromesh.engine.activation import Deciding, in_force
from synchromesh.engine.rehearsal import Rehearsal
from synchromesh.engine.replay import CURRENT, RAN, Mapping, Replay, ReplayRefused, Request
from synchromesh.engine.selection import Selection, Span, selected, span_of
from synchromesh.mapping.adapter import Adapter, load_adapter
from synchromesh.model.event import Activated
from synchromesh.model.message import Record
from synchromesh.plant.policy import Policy
from synchromesh.state.agreement import Reading

Progress = Callable[[str, int, int], None]
"""Hears what is being done, how far it has come, and where it ends."""


def _quietly(doing: str, done: int, end: int) -> None:
    """Nobody looks on."""


def mapping_of(word: str) -> Mapping:
    """`current`, `ran`, or the adapter in a folder. Raises `ManifestError` for a folder that holds none."""
    if word == CURRENT:
        return "current"
    return "ran" if word == RAN else _activation(load_adapter(Path(word)))


def _activation(adapter: Adapter) -> Activated:
    return Activated("adapter", adapter.interface, adapter.digest, adapter.content())


class Replaying:
    """Replays of one installation. Each opens log and state for itself, beside the running system.

    All raise `ReplayRefused` for what can't be meant or done, `LogError` and `StateError`; then nothing was changed.
    """

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings = settings
        self._plants = [plant.id for plant in settings.plants]
        self._stores = Stores(settings)
        self._now = now

    def dry_run(self, selection: Selection, request: Request, progress: Progress = _quietly) -> Replay:
        """What a replay would change, to the last posting. Nothing is written."""
        reading = self._stores.reading()
        try:
            span = span_of(reading, self._plants, selection)
            records = self._watched(selection, span, progress)
            return replay.review(reading, selection.plant, records, request, self._now(), preview=True)[0]
        finally:
            reading.close()

    def live(self, selection: Selection, request: Request, progress: Progress = _quietly) -> Replay:
        """Replay into the live plant: its worker folds the decisions that are appended here."""
        reading, log = self._stores.reading(), self._stores.log()
        try:
            span = span_of(reading, self._plants, selection)
            records = self._watched(selection, span, progress)
            return replay.replay(
                reading, log.append, selection.plant, records, request, self._now(),
                progress=lambda done, end: progress("deciding", done, end),
            )  # fmt: skip
        finally:
            reading.close()
            log.close()

    def rehearse(
        self, selection: Selection, mapping: Mapping, proposed: Settings | None = None, progress: Progress = _quietly
    ) -> Rehearsal:
        """What would have come of the range under what decides now, an adapter in a folder, or a proposed configuration."""
        plant = selection.plant
        reading = self._stores.reading()
        try:
            span = span_of(reading, self._plants, selection)
            first, last = self._range(selection, span)
            decisions = list(self._decisions(reading, plant, mapping, proposed))
        finally:
            reading.close()
        with tempfile.TemporaryDirectory(prefix="synchromesh-replay-", dir=self._settings.synchromesh.data) as folder:
            one, other = (self._stores.scratch(Path(folder) / name) for name in ("then", "otherwise"))
            try:
                return rehearsal.rehearse(
                    plant, self._stores.history(plant), first, last, decisions, (one, other),
                    progress=lambda position: progress("rebuilding", position, last),
                )  # fmt: skip
            finally:
                one.close()
                other.close()

    def _watched(self, selection: Selection, span: Span, progress: Progress) -> Iterator[Record]:
        """The selected records; it is told how far they are read."""
        return selected(self._read(selection.plant, span, progress), span, selection)

    def _read(self, plant: str, span: Span, progress: Progress) -> Iterator[Record]:
        for count, record in enumerate(self._stores.records(plant, span.first, span.last), 1):
            if count % LOOK == 0:
                progress("reading", record.position - span.first + 1, span.last - span.first + 1)
            yield record

    def _range(self, selection: Selection, span: Span) -> tuple[int, int]:
        """The first and the last selected position: a rehearsal takes everything in between, since facts build on each other."""
        if selection.since is None and selection.until is None and not selection.interface:
            return span.first, span.last
        positions = [record.position for record in selected(self._stores.records(selection.plant, span.first, span.last), span, selection)]
        if not positions:
            raise ReplayRefused("no message was selected; nothing was rehearsed")
        return positions[0], positions[-1]

    def _decisions(self, reading: Reading, plant: str, mapping: Mapping, proposed: Settings | None) -> Iterator[Activated]:
        if isinstance(mapping, Activated):
            yield mapping
            return
        if mapping == RAN:
            return
        configured = next((each for each in (proposed or self._settings).plants if each.id == plant), None)
        if configured is None:
            raise ReplayRefused(f"the proposed configuration has no plant {plant!r}")
        adapters = Adapters(proposed or self._settings)
        policy = in_force(reading, plant, "policy", plant)
        if proposed is not None:
            wanted = list(adapters.of(configured))
            if policy is not None:
                wanted.append(Deciding(plant, "policy", plant, _completed(configured.policy, policy.content)))
            yield from (Activated(each.kind, each.name, each.digest, each.content) for each in wanted)
            return
        for each in adapters.of(configured):
            known = in_force(reading, plant, "adapter", each.name)
            if known is not None:
                yield Activated("adapter", each.name, known.digest, known.content)
        if policy is not None:
            yield Activated("policy", plant, policy.digest, policy.content)


def _completed(proposed: Policy, content: str) -> str:
    """A proposed policy with what no configuration says: what the connector and the plant's first start have told."""
    known = msgspec.json.decode(content, type=Policy)
    return msgspec.json.encode(msgspec.structs.replace(proposed, differences=known.differences, series=known.series)).decode()


LOOK: Final = 1_000
"""Records between two words about the progress."""

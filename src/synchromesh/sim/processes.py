"""The processes under test, in one thread and virtual time: an edge, a worker, a dispatcher and the pulling of ERP's changes.

Each death drops all of them; what is made anew knows only what log, state and ERP kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from synchromesh.connectors.agreement import ConnectorError
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.engine.puller import Puller
from synchromesh.engine.reader import SOURCE
from synchromesh.engine.worker import Worker
from synchromesh.log.memory import MemoryLog
from synchromesh.model.event import DecisionEvent, OutcomesReported
from synchromesh.model.message import ENTERPRISE, OWN, Message
from synchromesh.sim.chance import Chance
from synchromesh.sim.deaths import Deaths, Killed, MortalConnector, MortalOutbox
from synchromesh.state.agreement import Fenced, Outbox, Reading, State

TARGET: Final = "erp"
STEPS: Final = 200
"""Rounds of work in one go before it must have come to rest: more is a livelock, and an error of the system."""


class Livelock(RuntimeError):
    """The system moves and moves without any time passing."""


class Store(Protocol):
    """One store in its three roles. It outlives the processes that use it."""

    def state(self) -> State: ...

    def outbox(self) -> Outbox: ...

    def reading(self) -> Reading: ...


class Processes:
    """Everything that dies together. `now` is the night's clock."""

    def __init__(
        self,
        log: MemoryLog,
        store: Store,
        connector: MortalConnector,
        deaths: Deaths,
        chance: Chance,
        now: Callable[[], datetime],
        batch: int,
        plants: Iterable[str],
    ) -> None:
        self._partitions = (ENTERPRISE, *plants)
        self._log = log
        self._store = store
        self._connector = connector
        self._deaths = deaths
        self._plants = tuple(plants)
        self._chance = chance
        self._now = now
        self._batch = batch
        self._epoch = now()
        self.deaths = self.replaced = 0
        self.due: datetime | None = None
        """When the living ones want to work next; None for not before something arrives."""
        self._puller: Puller | None = None
        self._worker: Worker | None = None
        self._dispatcher: Dispatcher | None = None
        self._revenants: list[Dispatcher] = []
        self.revenants = 0
        """How often a dispatcher went on after another one had taken over."""

    @property
    def busy(self) -> bool:
        """Whether something is on its way to ERP, or nobody knows because they just died."""
        return self._dispatcher is None or not self._dispatcher.idle or self._store.reading().waiting() > 0

    # --- messages in -------------------------------------------------------------------------------------------------------

    def accept(self, message: Message) -> bool:
        """An edge takes one message; whether the source was told that it is received. If not, the source has to send it again."""
        try:
            self._log.append([message])
        except Killed:
            self._die()
            return False
        return True

    def tell(self, partition: str, id: str, event: DecisionEvent | OutcomesReported) -> None:
        """A person decides, or a dispatcher reports; they look whether it was taken, and say it again when it was not."""
        while not self.accept(Message(partition, SOURCE, id, OWN, self._now(), msgspec.json.encode(event))):
            pass

    def insist(self, say: Callable[[], object]) -> None:
        """A person says something that ends in the log; who hears nothing looks whether it is there, and says it again if not."""
        while True:
            before = self._log.head()
            try:
                say()
            except Killed:
                self._die()
                if self._log.head() == before:
                    continue
            return

    async def pull(self) -> None:
        """Take ERP's changes into the log, as far as ERP answers just now."""
        try:
            while await self._pulling().step():
                pass
        except ConnectorError:
            return  # asked again at the next turn
        except Killed:
            self._die()

    def _pulling(self) -> Puller:
        reading = self._store.reading()
        self._puller = self._puller or Puller(TARGET, self._connector, self._log, reading, self._plants, now=self._now)
        return self._puller

    # --- dispatchers that come back ---------------------------------------------------------------------------------------

    def replace_dispatcher(self) -> None:
        """The dispatcher stands still and is taken for dead: another one starts. It goes on later, and knows nothing of that."""
        if self._dispatcher is not None:
            self._revenants.append(self._dispatcher)
            self._dispatcher = None
            self.replaced += 1

    async def come_back(self) -> None:
        """One that had stood still goes on for a moment."""
        if not self._revenants:
            return
        self.revenants += 1
        revenant = self._chance.one(self._revenants)
        try:
            await revenant.step(patience=60)
        except (Killed, Fenced):
            self._revenants.remove(revenant)

    # --- work --------------------------------------------------------------------------------------------------------------

    async def work(self, dispatching: bool) -> None:
        """Let worker and dispatcher go on until nothing more can be done now. `dispatching`: whether the dispatcher runs at all."""
        for _ in range(STEPS):
            try:
                if not await self._step(dispatching):
                    return
            except Killed:
                self._die()
        raise Livelock(f"after {STEPS} rounds without time passing the system still moves")

    async def _step(self, dispatching: bool) -> bool:
        before = self._log.head()
        worker = self._worker = self._worker or self._worked()
        folded = worker.step()
        dues = [worker.tick()]
        if dispatching and not self._chance.happens(0.2):
            dispatcher = self._dispatcher = self._dispatcher or self._made_dispatcher()
            dues.append(await dispatcher.step(patience=60))
        known = [due for due in dues if due is not None]
        self.due = self._now() + timedelta(seconds=min(known)) if known else None
        return bool(folded) or self._log.head() != before

    def _worked(self) -> Worker:
        return Worker(self._log, self._store.state(), self._partitions, self._name("worker"), now=self._now, batch=self._batch)

    def _made_dispatcher(self) -> Dispatcher:
        outbox, claimant = MortalOutbox(self._store.outbox(), self._deaths), self._name("dispatcher")
        outbox.attend(claimant, [TARGET])
        return Dispatcher(
            TARGET,
            self._connector,
            outbox,
            self._log,
            claimant,
            clock=self._seconds,
            now=self._now,
            jitter=lambda: 0.5,
        )

    def _seconds(self) -> float:
        return (self._now() - self._epoch).total_seconds()

    def _name(self, role: str) -> str:
        return f"{role}-{self.deaths}-{self.replaced}"

    def _die(self) -> None:
        self.deaths += 1
        self._worker = None
        self._dispatcher = None
        self._puller = None
        self.due = self._now()

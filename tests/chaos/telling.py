"""A plant's source: tells its facts over HTTP to any gateway that lives, and again until it hears "received"."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
import msgspec
from tests.chaos.erps import Erp
from tests.chaos.fleet import Member
from tests.chaos.plants import Heard, History, Plant, batches

from synchromesh.sim.chance import Chance
from synchromesh.sim.told import Told

LARGEST: Final = 60
"""The most facts in one request."""

TIMEOUT: Final = 8.0
"""Seconds after which a source takes a request for lost."""

REPEATED: Final = 0.02
"""How often a source tells a fact once more that it knows to be received."""

REMEMBERED: Final = 500
"""How far back such a fact lies at the most."""


BEHIND: Final = "is in the future here"
"""What a gateway says whose clock is behind: another one may take it, or this one later."""


class Source:
    """What one plant tells, and what it heard."""

    def __init__(self, plant: Plant, erp: Erp, gateways: Sequence[Member], seed: int) -> None:
        self.plant = plant
        self.heard = Heard()
        self.repeats = 0
        """Requests that were told again since no answer was heard."""
        self._erp = erp
        self._gateways = gateways
        self._chance = Chance(seed, f"source {plant.name}")
        self._history: History = plant.history()
        self._recent: list[Told] = []
        self._turn = self._chance.whole(0, 100)

    async def open(self) -> None:
        """ERP knows what there is before the first fact."""
        await self._erp.learn(self.plant.masters())

    def begin(self, start: datetime) -> None:
        """The plant's history begins now."""
        self.plant = msgspec.structs.replace(self.plant, start=start)
        self._history = self.plant.history()

    async def tell(self, session: aiohttp.ClientSession, until: datetime) -> None:
        """Tell what happens as it happens, in requests of different sizes."""
        while (now := datetime.now(UTC)) < until:
            size = self._chance.whole(1, LARGEST)
            due = self.plant.start + timedelta(seconds=(self.heard.facts + size) / self.plant.rate)
            if due > now:
                await asyncio.sleep(min((due - now).total_seconds(), (until - now).total_seconds()))
                if due > until:
                    return
            known, told = batches(self._history, size)
            await self._erp.learn(known)
            await self._send(session, told)
            self.heard.facts += size
            self._recent = (self._recent + told)[-REMEMBERED:]
            await self._again(session)

    async def rest(self) -> None:
        """ERP comes to know what facts were told about."""
        await self._erp.learn(self._history.rest())

    async def _again(self, session: aiohttp.ClientSession) -> None:
        again = [self._chance.whole(0, len(self._recent) - 1) for _ in range(LARGEST) if self._chance.happens(REPEATED)]
        if again:
            await self._send(session, [self._recent[place] for place in again])
            self.heard.again += [self.heard.facts - len(self._recent) + place for place in again]

    async def _send(self, session: aiohttp.ClientSession, told: Sequence[Told]) -> None:
        """Until "received" is heard. Raises `RuntimeError` when a fact is refused for good."""
        body = b"[%b]" % b",".join(map(_event, told))
        while True:
            self._turn += 1
            gateway = self._gateways[self._turn % len(self._gateways)]
            assert gateway.line is not None, "it is a gateway"
            url = f"http://127.0.0.1:{gateway.line.port}/v1/plants/{self.plant.name}/events"
            try:
                async with session.post(url, data=body, headers={"content-type": "application/json"}) as answer:
                    if answer.status == 202:
                        return
                    said = await answer.text()
                    if answer.status not in (429, 503, 507) and BEHIND not in said:
                        raise RuntimeError(f"{gateway.name} refused a fact: {answer.status} {said}")
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            self.repeats += 1
            await asyncio.sleep(0.2)


def _event(told: Told) -> bytes:
    """A fact as native JSON."""
    head, _, rest = told.body().partition(b",")
    type_ = msgspec.json.decode(head + b"}")["type"]
    event = {"id": told.id, "source": told.source, "type": type_, "time": told.at, "data": msgspec.Raw(b"{" + rest)}
    return msgspec.json.encode(event)

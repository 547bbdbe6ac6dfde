"""The people of a run: somebody looks into the business systems and settles what is in doubt, and sends again what was refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec
from tests.chaos.erps import Erp
from tests.chaos.fleet import Member

from synchromesh.engine.views import ExceptionView
from synchromesh.model.event import DecisionEvent, DoubtSettled, PostingRetried

NAME: Final = "operator"
LOOK: Final = 2.0
"""Seconds between two looks at the queue."""

LISTED: Final = 1000
_views: Final = msgspec.json.Decoder(list[ExceptionView]).decode


class Operator:
    """Works off what is open, all the time; what is new is left alone for `patience` seconds. `decided` counts decisions."""

    def __init__(self, gateways: Sequence[Member], erps: Mapping[str, Erp], patience: float) -> None:
        self._patience = patience
        self._gateways = gateways
        self._erps = erps
        self._seen: dict[tuple[str, str], float] = {}
        self._turn = 0
        self.decided = 0

    async def work(self, session: aiohttp.ClientSession) -> None:
        """Look and decide, for ever."""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._look(session)
            await asyncio.sleep(LOOK)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        self._turn += 1
        gateway = self._gateways[self._turn % len(self._gateways)]
        assert gateway.line is not None, "it is a gateway"
        address = f"http://127.0.0.1:{gateway.line.port}"
        async with session.get(f"{address}/v1/exceptions?limit={LISTED}") as answer:
            if answer.status != 200:
                return
            shown = _views(await answer.read())
        now = time.monotonic()
        seen = {(view.plant, view.id): self._seen.get((view.plant, view.id), now) for view in shown if view.posting}
        self._seen = seen
        for view in shown:
            if now - seen.get((view.plant, view.id), now) > self._patience:
                await self._decide(session, address, view)
                self._seen[view.plant, view.id] = now

    async def _decide(self, session: aiohttp.ClientSession, address: str, view: ExceptionView) -> None:
        """A doubt is settled by the books; what does not fit as one was refused, and is sent again."""
        numbers = await self._erps[view.plant].documents(view.posting)
        if await self._decided(session, address, view.plant, DoubtSettled(view.posting, NAME, numbers[0] if numbers else "")):
            return
        await self._decided(session, address, view.plant, PostingRetried(view.posting, NAME))

    async def _decided(self, session: aiohttp.ClientSession, address: str, plant: str, event: DecisionEvent) -> bool:
        """Whether the decision fits."""
        headers = {"content-type": "application/json"}
        url = f"{address}/v1/plants/{plant}/decisions"
        async with session.post(url, data=msgspec.json.encode(event), headers=headers) as answer:
            self.decided += answer.status == 202
            return answer.status != 409

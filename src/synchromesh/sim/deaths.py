"""Processes that die: at every durable step and every call to ERP there is a point before and a point after, and chance picks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from synchromesh.connectors.agreement import Abilities, Balance, Connector, Finding, Pulled
from synchromesh.model.posting import Category, Fate, Posting, Reply
from synchromesh.sim.chance import Chance


class Killed(BaseException):
    """The process is gone, with everything it had in memory. No handler in it ever runs."""


class Deaths:
    """Decides at each point whether the process dies there."""

    def __init__(self, chance: Chance, rate: float) -> None:
        self._chance = chance
        self._rate = rate
        self.count = 0

    def point(self, _: object = None) -> None:
        """A point where the process may die. Raises `Killed`."""
        if self._chance.happens(self._rate):
            self.count += 1
            raise Killed

    def stop(self) -> None:
        """Nobody dies any more: the night is over."""
        self._rate = 0.0


class MortalConnector:
    """ERP's connector in a process that may die before or after each call; notes what ERP refused, for the auditor."""

    def __init__(self, inner: Connector, deaths: Deaths, head: Callable[[], Mapping[str, int]]) -> None:
        self._inner = inner
        self._head = head
        self._deaths = deaths
        self.abilities: Abilities = inner.abilities
        self.refused: set[str] = set()
        self.turned_away: dict[str, int] = {}
        """What ERP refused because its day was closed, and how long its plant's log was then."""

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        self._deaths.point()
        replies = await self._inner.post(postings)
        self._note(replies)
        self._deaths.point()
        return replies

    async def find(self, key: str) -> Finding:
        finding = await self._inner.find(key)
        if finding.reply is not None:
            self._note([finding.reply])
        self._deaths.point()
        return finding

    async def pull(self, cursor: str) -> Pulled:
        return await self._inner.pull(cursor)

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        return await self._inner.balances(items)

    async def close(self) -> None:
        await self._inner.close()

    def _note(self, replies: Sequence[Reply]) -> None:
        rejected = [reply for reply in replies if reply.fate is Fate.REJECTED]
        self.refused |= {reply.key for reply in rejected}
        for reply in rejected:
            if reply.refusal is not None and reply.refusal.category is Category.CLOSED_PERIOD:
                self.turned_away.setdefault(reply.key, self._head()[reply.key.partition(":")[0]])

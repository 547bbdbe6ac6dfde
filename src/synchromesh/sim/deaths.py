"""Processes that die: at every durable step and every call to ERP there is a point before and a point after, and chance picks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from datetime import datetime

from synchromesh.connectors.agreement import Abilities, Balance, Connector, Finding, Pulled
from synchromesh.model.posting import Category, Fate, Posting, Reply
from synchromesh.sim.chance import Chance
from synchromesh.state.agreement import Outbox, Ready, TakenOver

Positions = Callable[[], Mapping[str, int]]


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

    def __init__(self, inner: Connector, deaths: Deaths, head: Positions, folded: Positions, now: Callable[[], datetime]) -> None:
        self._inner = inner
        self._head = head
        self._folded = folded
        self._now = now
        self._deaths = deaths
        self.abilities: Abilities = inner.abilities
        self.refused: set[str] = set()
        self.turned_away: dict[str, int] = {}
        """What ERP refused because its day was closed, and how long its plant's log was then."""
        self.asked: dict[str, tuple[int, int]] = {}
        """As which one ERP was first asked to book each posting, and how far its plant had come then."""
        self.short: dict[str, datetime] = {}
        """What ERP refused for want of stock, and when it did so first."""

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        self._deaths.point()
        for posting in postings:
            self.asked.setdefault(posting.key, (len(self.asked), self._folded()[posting.plant]))
        replies = await self._inner.post(postings)
        self._note(replies)
        self._deaths.point()
        return replies

    async def find(self, key: str) -> Finding:
        self._deaths.point()
        finding = await self._inner.find(key)
        if finding.reply is not None:
            self._note([finding.reply])
        self._deaths.point()
        return finding

    async def pull(self, cursor: str) -> Pulled:
        pulled = await self._inner.pull(cursor)
        self._deaths.point()
        return pulled

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        balances = await self._inner.balances(items)
        self._deaths.point()
        return balances

    async def close(self) -> None:
        await self._inner.close()

    def _note(self, replies: Sequence[Reply]) -> None:
        rejected = [reply for reply in replies if reply.fate is Fate.REJECTED]
        self.refused |= {reply.key for reply in rejected}
        for reply in rejected:
            category = reply.refusal.category if reply.refusal is not None else None
            if category is Category.CLOSED_PERIOD:
                self.turned_away.setdefault(reply.key, self._head()[reply.key.partition(":")[0]])
            elif category is Category.INSUFFICIENT_STOCK:
                self.short.setdefault(reply.key, self._now())


class MortalOutbox:
    """The outbox of a dispatcher that may die before or after each claim, and before or after it gives one back."""

    def __init__(self, inner: Outbox, deaths: Deaths) -> None:
        self._inner = inner
        self._deaths = deaths

    def known(self) -> set[str]:
        return self._inner.known()

    def attend(self, claimant: str, targets: Collection[str]) -> set[str]:
        sending = self._inner.attend(claimant, targets)
        self._deaths.point()
        return sending

    def leave(self, claimant: str) -> None:
        self._inner.leave(claimant)

    def tell(self, target: str, trouble: str) -> None:
        self._inner.tell(target, trouble)

    def sends(self, target: str, claimant: str) -> bool:
        return self._inner.sends(target, claimant)

    def take(self, target: str, claimant: str, limit: int, now: int, full: Set[str] = frozenset()) -> list[Ready]:
        self._deaths.point()
        taken = self._inner.take(target, claimant, limit, now, full)
        self._deaths.point()
        return taken

    def disown(self, target: str, claimant: str) -> None:
        self._inner.disown(target, claimant)
        self._deaths.point()

    def take_over(self, target: str, claimant: str, heads: Mapping[str, int], limit: int) -> TakenOver:
        found = self._inner.take_over(target, claimant, heads, limit)
        self._deaths.point()
        return found

    def release(self, ids: Sequence[tuple[str, int, int]]) -> None:
        self._deaths.point()
        self._inner.release(ids)
        self._deaths.point()

    def wait(self, timeout: float) -> bool:
        return self._inner.wait(timeout)

    def close(self) -> None:
        self._inner.close()

"""A business system that is only listened to: it books by itself, and what it books arrives as messages through the edges: orders, items,
documents (`erp.document.booked`). Nothing is sent to it and it is asked nothing; its plants have the policy `booking = "record"`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from synchromesh.connectors.agreement import Abilities, Balance, Connector, ConnectorError, Finding, FindingState, Grade, Pulled
from synchromesh.model.posting import Category, Fate, Posting, Refusal, Reply

_SENTENCE: Final = "This business system is only listened to, and books nothing that it is sent."
_REMEDY: Final = 'Set booking = "record" in the plant\'s policy, or name a connector that can book.'


def connect(settings: Mapping[str, object]) -> Connector:
    """The connector; it has no settings. Raises `ValueError` naming a key that it does not have."""
    for key in settings:
        raise ValueError(f"a system that is only listened to has no setting {key!r}; leave it out")
    return Listening()


class Listening:
    """A `Connector` that refuses every posting and tells nothing."""

    def __init__(self) -> None:
        self.abilities = Abilities(grade=Grade.BLIND, kinds=frozenset(), stock=False)

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        refusal = Refusal(Category.NOT_PERMITTED, "booking", _SENTENCE, _REMEDY)
        return [Reply(posting.key, Fate.REJECTED, refusal=refusal) for posting in postings]

    async def find(self, key: str) -> Finding:
        return Finding(FindingState.SILENT)

    async def pull(self, cursor: str) -> Pulled:
        return Pulled((), cursor)

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        raise ConnectorError("a business system that is only listened to can't be asked for its stock")

    async def close(self) -> None:
        """There is nothing to let go of."""

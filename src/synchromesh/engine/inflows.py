"""Which postings on their way would bring stock to a place. No index leads there, so the lanes of a plant are looked through, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from synchromesh.model.posting import Posting
from synchromesh.plant.entities import Lane, Order
from synchromesh.plant.keys import id_of
from synchromesh.plant.lanes import open_in
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.stock import moves
from synchromesh.plant.view import Effect
from synchromesh.state.agreement import Reading

PAGE: Final = 2_000

LANES: Final = 20_000
"""The most orders and other lanes of a plant that are looked through: under a second of work. Whoever asks hears when it was not all."""

_order: Final = msgspec.msgpack.Decoder(Order).decode
_lane: Final = msgspec.msgpack.Decoder(Lane).decode
_posting: Final = msgspec.json.Decoder(Posting).decode


class Inflows:
    """Asks one store about one plant. What it has looked through it remembers."""

    def __init__(self, reading: Reading, plant: str) -> None:
        self._reading = reading
        self._plant = plant
        self._places: dict[str, list[PostingRow]] | None = None
        self.complete = True
        """Whether all lanes were looked through."""

    def to(self, place: str) -> list[PostingRow]:
        """The postings that are decided and not booked yet, and whose booking adds to the stock at this place."""
        if self._places is None:
            self._places = {}
            for id_ in self._queued():
                row = self._reading.posting(self._plant, id_)
                if row is not None:
                    for each, amount, _ in moved_by(self._reading, self._plant, row):
                        if amount > 0:
                            self._places.setdefault(each, []).append(row)
        return self._places.get(place, [])

    def _row(self, id_: PostingId) -> PostingRow | None:
        return self._reading.posting(self._plant, id_)

    def _queued(self) -> Iterator[PostingId]:
        """All postings that stand in a lane."""
        seen = 0
        for kind in ("order", "lane"):
            after = ""
            while page := self._reading.entities_of(self._plant, kind, after, PAGE):
                for _, value in page:
                    yield from open_in(_order(value).lane if kind == "order" else _lane(value), self._row)
                after = page[-1][0]
                seen += len(page)
                if seen >= LANES:
                    self.complete = False
                    return


def moved_by(reading: Reading, plant: str, row: PostingRow) -> list[Effect]:
    """What a posting does to the stock of places."""
    content = _posting(row.content)
    if not content.reverses:
        return [effect for line in content.lines for effect in moves(content.kind, line)]
    original = reading.posting(plant, id_of(content.reverses))
    return [] if original is None else [(place, -amount, unit) for place, amount, unit in moved_by(reading, plant, original)]

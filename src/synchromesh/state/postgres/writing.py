"""What a batch of changes is as statements: each table is written once, with the rows of all partitions together.

A statement's values are made when it is asked for, so that the server writes one table while the next one's rows are encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from synchromesh.plant.rows import Changes
from synchromesh.postgres.arrays import Bigints, Ints, bigints, blobs, ints
from synchromesh.state import encoding
from synchromesh.state.postgres.identities import Statement
from synchromesh.state.postgres.rows import at
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import texts

_SQL: Final = {
    "position": "UPDATE {schema}.partition p SET position = r.position, now = r.now FROM unnest(%s, %s, %s) AS r (number, position, now) "
    "WHERE p.number = r.number",
    "entity": "INSERT INTO {schema}.entity SELECT * FROM unnest(%s, %s, %s, %s) "
    "ON CONFLICT (partition, kind, name) DO UPDATE SET value = excluded.value",
    "no entity": "DELETE FROM {schema}.entity e USING unnest(%s, %s, %s) AS r (partition, kind, name) "
    "WHERE e.partition = r.partition AND e.kind = r.kind AND e.name = r.name",
    "fact": "INSERT INTO {schema}.fact SELECT * FROM unnest(%s, %s) ON CONFLICT (at) DO UPDATE SET value = excluded.value",
    "posting": "INSERT INTO {schema}.posting SELECT * FROM unnest(%s, %s, %s, %s) "
    "ON CONFLICT (partition, position, ordinal) DO UPDATE SET value = excluded.value",
    "no outbox": "DELETE FROM {schema}.outbox o USING unnest(%s, %s, %s) AS r (partition, position, ordinal) "
    "WHERE o.partition = r.partition AND o.position = r.position AND o.ordinal = r.ordinal",
    "outbox": "INSERT INTO {schema}.outbox (partition, position, ordinal, target, lane, added) "
    "SELECT * FROM unnest(%s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (partition, position, ordinal) DO UPDATE SET target = excluded.target, lane = excluded.lane",
    "document": "INSERT INTO {schema}.document SELECT * FROM unnest(%s, %s, %s, %s) "
    "ON CONFLICT (partition, number) DO UPDATE SET position = excluded.position, ordinal = excluded.ordinal",
    "exception": "INSERT INTO {schema}.exception SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (partition, position, ordinal) DO UPDATE SET state = excluded.state, opened = excluded.opened, value = excluded.value, "
    "category = excluded.category, subject = excluded.subject, of_order = excluded.of_order, facts = excluded.facts",
    "forward": "INSERT INTO {schema}.forward (partition, value) "
    "SELECT r.partition, r.value FROM unnest(%s, %s) WITH ORDINALITY AS r (partition, value, place) ORDER BY r.place",
}

_Numbered = Sequence[tuple[int, Changes]]
"""Changes, each with its partition's number."""


class Writing:
    """The statements that write batches, for one schema."""

    def __init__(self, session: Session) -> None:
        self._sql = {name: session.sql(sql) for name, sql in _SQL.items()}

    def statements(self, batch: _Numbered) -> Iterator[Statement]:
        """Everything but identities and what is forgotten of forwards. No two partitions of a batch are the same."""
        for name, values in chain(self._plants(batch), self._outgoing(batch)):
            yield self._sql[name], values

    def _plants(self, batch: _Numbered) -> Iterator[tuple[str, Sequence[object]]]:
        numbers = ints([number for number, _ in batch])
        yield "position", (numbers, *(bigints([getattr(changes, name) for _, changes in batch]) for name in ("position", "now")))
        entities = [(number, *key, value) for number, changes in batch for key, value in changes.entities.items() if value is not None]
        if entities:
            partitions, kinds, names, values = zip(*entities, strict=True)
            yield "entity", (ints(partitions), texts(kinds), texts(names), blobs(values))
        gone = [(number, *key) for number, changes in batch for key, value in changes.entities.items() if value is None]
        if gone:
            partitions, kinds, names = zip(*gone, strict=True)
            yield "no entity", (ints(partitions), texts(kinds), texts(names))
        encode = encoding.encode
        facts = [(at(number, position), row) for number, changes in batch for position, row in sorted(changes.facts.items())]
        if facts:
            yield "fact", (bigints([key for key, _ in facts]), blobs([encode(row) for _, row in facts]))
        postings = [(number, *id, row) for number, changes in batch for id, row in sorted(changes.postings.items())]
        if postings:
            yield "posting", (*_keys(postings), blobs([encode(each[3]) for each in postings]))

    def _outgoing(self, batch: _Numbered) -> Iterator[tuple[str, Sequence[object]]]:
        removed = [(number, *id) for number, changes in batch for id in sorted(changes.outbox_removed)]
        if removed:
            yield "no outbox", _keys(removed)
        added = [
            (number, *id, *changes.outbox_added[id], changes.position) for number, changes in batch for id in sorted(changes.outbox_added)
        ]
        if added:
            targets, lanes = texts([each[3] for each in added]), texts([each[4] for each in added])
            yield "outbox", (*_keys(added), targets, lanes, bigints([each[5] for each in added]))
        documents = [(number, *changes.documents[name], name) for number, changes in batch for name in sorted(changes.documents)]
        if documents:
            numbers, positions, ordinals = _keys(documents)
            yield "document", (numbers, texts([each[3] for each in documents]), positions, ordinals)
        yield from self._exceptions(batch)
        forwards = [(number, encoding.encode(message)) for number, changes in batch for message in changes.forwards]
        if forwards:
            partitions, values = zip(*forwards, strict=True)
            yield "forward", (ints(partitions), blobs(values))

    @staticmethod
    def _exceptions(batch: _Numbered) -> Iterator[tuple[str, Sequence[object]]]:
        found = [(number, *id, row) for number, changes in batch for id, row in sorted(changes.exceptions.items())]
        if found:
            rows = [each[3] for each in found]
            opened, values = bigints([row.opened for row in rows]), blobs([encoding.encode(row) for row in rows])
            states, *causes = (texts([getattr(row, name) for row in rows]) for name in ("state", "category", "subject", "order"))
            yield "exception", (*_keys(found), states, opened, values, *causes, bigints([row.facts for row in rows]))


def _keys(found: Sequence[Sequence[object]]) -> tuple[Ints, Bigints, Ints]:
    """The columns partition, position and ordinal of what begins with them."""
    partitions, positions, ordinals = ([each[place] for each in found] for place in range(3))
    return ints(partitions), bigints(positions), ints(ordinals)  # type: ignore[arg-type]

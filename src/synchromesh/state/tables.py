"""The tables of a state store, defined once for every database. Migrations make them (`migrations/`); a test compares the two.

Rows of a plant are keyed by partition and position, so that a batch writes pages that lie together, and hold their content as one
value: the fold reads rows by key only. What a read model must search has a column of its own. Identities live in tables of their
own, a pair for each segment, made and dropped by the store (`sqlite.identities`).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Integer, LargeBinary, MetaData, Table, text
from sqlalchemy import Text as AnyText

METADATA: Final = MetaData()

Text: Final = AnyText().with_variant(AnyText(collation="C"), "postgresql")
"""Text in the order of its code points, whatever language a database is set to."""
Row: Final = BigInteger().with_variant(Integer(), "sqlite")
"""A row's number: 64 bits in every database; one of them spells it so."""
INSIDE: Final = {"only": "postgresql"}
"""Tables, columns and indexes that are only where many machines use the database, and claims and leases stand in it."""

LEASE: Final = Table(
    "lease",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False, server_default="-infinity", info=INSIDE),
    sqlite_with_rowid=False,
)
"""Who may write each partition: the owner in this epoch. After `until` another one may take it; one machine's writer needs no time."""

SENDER: Final = Table(
    "sender",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False, server_default="-infinity"),
    Column("released", BigInteger, nullable=False, server_default="0"),
    Column("trouble", Text, nullable=False, server_default=""),
    info=INSIDE,
)
"""Who sends to each business system, as in `lease`; how often claims were given back, which moves them back in their order; and why the
system does not answer just now."""

MEMBER: Final = Table(
    "member",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
    info=INSIDE,
)
"""Who is at work: partitions and business systems are shared among those whose time is not over."""

CLAIMS: Final = Table("claims", METADATA, Column("partition", Text, primary_key=True), Column("head", BigInteger), info=INSIDE)
"""Partitions of which it is known what was claimed, and those of which it is not known of the messages through `head`; -1 where even that
is not known yet."""

HISTORY: Final = Table(
    "history",
    METADATA,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("told", Text, nullable=False),
    info=INSIDE,
)
"""One row: the server, and the branch of its history, in which claims were made."""

ORIGIN: Final = Table(
    "origin",
    METADATA,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("log", Text, nullable=False),
)
"""One row: the log whose positions these are."""

PARTITION: Final = Table(
    "partition",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("position", BigInteger, nullable=False),
    Column("now", BigInteger, nullable=False),
)

ENTITY: Final = Table(
    "entity",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

FACT: Final = Table(
    "fact",
    METADATA,
    Column("at", Row, primary_key=True, autoincrement=False),
    Column("value", LargeBinary, nullable=False),
)
"""`at` is the partition's number and the position in one: see `sqlite.rows.at`."""

POSTING: Final = Table(
    "posting",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("target", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("claimant", Text, info=INSIDE),
    Column("claimed_at", BigInteger, info=INSIDE),
    Index("outbox_of_target", "target", "partition", "added", "position", "ordinal"),
    sqlite_with_rowid=False,
)
"""Postings that are ready. A row leaves with its outcome, so the table and its index stay small. `added` is the position of the batch that
made it ready. `claimant` and `claimed_at` say who took it to send it; where claims stand beside the database there is neither."""

DOCUMENT: Final = Table(
    "document",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("number", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    sqlite_with_rowid=False,
)

_OPEN: Final[dict[str, Any]] = {"sqlite_where": text("state = 'open'"), "postgresql_where": text("state = 'open'")}

EXCEPTION: Final = Table(
    "exception",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("category", Text, nullable=False, server_default=""),
    Column("subject", Text, nullable=False, server_default=""),
    Column("of_order", Text, nullable=False, server_default=""),
    Column("facts", BigInteger, nullable=False, server_default="1"),
    Index("exception_open", "opened", **_OPEN),
    Index(
        "exception_of_cause",
        *("category", "subject", "partition", "of_order", "facts", "opened", "state"),
        **_OPEN,
    ),
    Index("exception_in_cause", "category", "subject", "partition", "position", "ordinal", **_OPEN),
    sqlite_with_rowid=False,
)
"""The indexes hold open ones only, so they grow with the work that people have, not with history. The second one alone tells the causes:
category, subject, and what they hold up; by the third one their exceptions are read in order."""

FORWARD: Final = Table(
    "forward",
    METADATA,
    Column("sequence", Row, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Index("forward_of_partition", "partition", "sequence", info=INSIDE),
)

IDENTITY_SEGMENT: Final = Table(
    "identity_segment",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("segment", BigInteger, primary_key=True, autoincrement=False),
    Column("newest", BigInteger, nullable=False),
    Column("indexed", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""`newest` is the partition's time at the segment's newest entry, `indexed` the row through which its hashes are in its index. Each segment
has two tables of its own, entries and index, which are dropped whole. In PostgreSQL it has one, and `indexed` is the position of the batch
that made it, a part of its name."""

IDENTITY_FILTER: Final = Table(
    "identity_filter",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("segment", BigInteger, primary_key=True, autoincrement=False),
    Column("bits", LargeBinary, nullable=False),
)
"""Which hashes a segment's index may hold; apart from `identity_segment`, whose rows change with every batch."""

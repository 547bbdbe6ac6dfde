"""Making and migrating a part of a schema: the log's tables, or the state's. What is made is whole, made once, and by one program.

The schema holds a table `part` with a row for each part: its version, the oldest program that may use it, an id that tells it from every
other one, and the name of the installation that it belongs to. A program that finds its part as it knows it writes nothing, so its role
needs no right to change tables.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from synchromesh.postgres.connections import Connection, connect
from synchromesh.postgres.database import Database
from synchromesh.postgres.errors import Kinds, in_words


class Step(NamedTuple):
    """What makes a version of a part from the one before it. `{schema}` stands for the schema's name.

    `serves` is the oldest version whose programs can go on beside the new tables: with it they run side by side during an upgrade.
    """

    statements: Sequence[str]
    serves: int


class Part(NamedTuple):
    """A part of a schema, and how each of its versions is made: the first step makes version 1."""

    name: str
    steps: Sequence[Step]


class _Found(NamedTuple):
    """A part as it is: version 0 before it is made."""

    version: int
    serves: int
    id: str


_MISSING: Final = _Found(0, 0, "")
_SCHEMA: Final = "CREATE SCHEMA {schema}"
_TABLE: Final = (
    "CREATE TABLE {schema}.part ("
    "name text PRIMARY KEY, version int NOT NULL, serves int NOT NULL, id text NOT NULL, installation text NOT NULL)"
)


def prepare(database: Database, part: Part, installation: str, kinds: Kinds) -> str:
    """Make or migrate the part where that is needed, in one transaction and by one program at a time; return the part's id.

    Raises the agreement's exceptions before anything is written: for a schema of another program or another installation, and for a
    part that only a newer program understands.
    """
    doing = f"opening the {part.name}"
    connection = connect(database, kinds)
    try:
        with in_words(database, kinds, doing):
            found = _look(connection, database, part, installation, kinds)
            if found.version >= len(part.steps):
                return found.id
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_lock(database),))
                found = _look(connection, database, part, installation, kinds)
                return _advance(connection, database, part, found, installation)
    finally:
        connection.close()


def version_of(database: Database, part: Part, installation: str, kinds: Kinds) -> int:
    """The part's version, 0 before it is made; nothing is changed. Raises as `prepare` does."""
    connection = connect(database, kinds)
    try:
        with in_words(database, kinds, f"opening the {part.name}"):
            return _look(connection, database, part, installation, kinds).version
    finally:
        connection.close()


def _look(connection: Connection, database: Database, part: Part, installation: str, kinds: Kinds) -> _Found:
    """The part as it is now, refused where it is not for this program."""
    tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (database.schema,))}
    if "part" not in tables:
        if tables:
            some = ", ".join(sorted(tables)[:3])
            raise kinds.corrupt(
                f"{database}: the schema has tables of another program ({some}); nothing was changed; choose another name with `schema`"
            )
        return _MISSING
    rows = connection.execute(database.sql("SELECT name, version, serves, id, installation FROM {schema}.part")).fetchall()
    for _, _, _, _, owner in rows:
        if owner != installation:
            raise kinds.error(
                f"{database}: the schema belongs to the installation {owner!r} and this is {installation!r}; nothing was changed; "
                "give this one a database or a `schema` of its own, or correct its name"
            )
    found = next((_Found(version, serves, id) for name, version, serves, id, _ in rows if name == part.name), _MISSING)
    if found.serves > len(part.steps):
        raise kinds.error(
            f"{database}: the {part.name} has version {found.version} and serves programs from version {found.serves} on; this program "
            f"knows version {len(part.steps)}; nothing was changed; use the program that migrated it, or a newer one"
        )
    return found


def _advance(connection: Connection, database: Database, part: Part, found: _Found, installation: str) -> str:
    """Do the steps that are missing."""
    if found.version >= len(part.steps):
        return found.id
    made = "SELECT to_regnamespace(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL"
    schema, table = connection.execute(made.encode(), (database.schema, f"{database.schema}.part")).fetchone() or (False, False)
    # Who owns the schema may make tables in it, but not necessarily a schema in this database.
    statements = ([] if schema else [_SCHEMA]) + ([] if table else [_TABLE])
    for step in part.steps[found.version :]:
        statements.extend(step.statements)
    for statement in statements:
        connection.execute(database.sql(statement))
    id = found.id or secrets.token_hex(8)
    connection.execute(
        database.sql(
            "INSERT INTO {schema}.part VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (name) DO UPDATE SET version = excluded.version, serves = excluded.serves"
        ),
        (part.name, len(part.steps), part.steps[-1].serves, id, installation),
    )
    return id


def _lock(database: Database) -> int:
    """The number of the advisory lock: one for each schema's name, far from the small numbers that others may choose."""
    return int.from_bytes(hashlib.sha256(f"synchromesh {database.schema}".encode()).digest()[:8], "big", signed=True)

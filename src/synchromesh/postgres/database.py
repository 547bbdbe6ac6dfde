"""Where a database is, as its address says: everything that libpq can be told, and the schema that our tables are in."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SCHEMA: Final = "synchromesh"
"""The schema, where nothing else is said."""
_SCHEMES: Final = ("postgresql://", "postgres://")
_NAME: Final = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_DEFAULTS: Final = {
    "application_name": "synchromesh",
    "connect_timeout": "10",
    # A server that vanished without a word is noticed after half a minute, and not after the system's two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
    # Of several hosts the one that takes writes, whichever it is after a failover.
    "target_session_attrs": "read-write",
}
"""What libpq is told where the address says nothing. All of it concerns this side of the connection: a pooler need not know it."""


class Database(msgspec.Struct, frozen=True):
    """A database and the schema in it. Made by `database`, which has checked both."""

    conninfo: str
    schema: str

    def sql(self, statement: str) -> bytes:
        """A statement in which `{schema}` stands for the schema's name."""
        return statement.replace("{schema}", self.schema).encode()

    def __str__(self) -> str:
        """Where it is, for people: without the password."""
        told = conninfo_to_dict(self.conninfo)
        host, port, name = (str(told.get(key) or default) for key, default in (("host", "localhost"), ("port", "5432"), ("dbname", "")))
        several = port.split(",") if "," in port else [port] * len(host.split(","))
        hosts = ",".join(f"{each}:{at}" for each, at in zip(host.split(","), several, strict=False))
        return f"postgresql://{hosts}/{name or told.get('user', '')} (schema {self.schema})"


def database(address: str, schema: str = SCHEMA) -> Database:
    """The database of an address as `postgresql://user@host:port/name?sslmode=verify-full`; libpq's environment (`PGPASSWORD`,
    `PGPASSFILE`, `PGSSLROOTCERT` ...) counts where the address says nothing. Raises `ValueError` for what
    is no address or no schema's name."""
    if not address.startswith(_SCHEMES):
        raise ValueError(f"the address of a PostgreSQL database begins with postgresql://, not with {address.partition(':')[0][:20]!r}")
    if not _NAME.fullmatch(schema):
        raise ValueError(f"schema {schema!r} is no name here: small letters, digits and _, a letter first, at most 63, and not pg_...")
    try:
        told = conninfo_to_dict(address)
    except psycopg.ProgrammingError as error:
        # libpq repeats what it could not read, and that may hold a password.
        raise ValueError(
            "the address can't be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE&...; "
            "signs other than letters and digits in user and password as %XX"
        ) from error
    defaults = {key: value for key, value in _DEFAULTS.items() if key not in told}
    return Database(make_conninfo(address, **defaults), schema)

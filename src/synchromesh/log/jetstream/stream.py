"""The stream: made once as the log needs it, and checked at every opening, so that nothing is written to one that would not keep it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Final

import msgspec

from synchromesh.log.agreement import LogCorrupt, LogError
from synchromesh.log.jetstream.access import Access
from synchromesh.log.jetstream.connection import Connection, Refused, Unanswered
from synchromesh.log.jetstream.frame import OVERHEAD, partition_of, token
from synchromesh.sqlite.database import publish

SCHEMA: Final = "1"
API_LEVEL: Final = 2
"""Servers from 2.12 on store several messages all or none."""
LEAST_PAYLOAD: Final = 64 * 1024
IDENTITY: Final = "log.stream"
"""The file in the data folder that says which stream is this installation's."""

NOT_FOUND: Final = 10059
NO_MESSAGE: Final = 10037
_NAME_TAKEN: Final = 10058
_NOT_ENABLED: Final = {10039, 10076}
_SCHEMA_KEY: Final = "synchromesh.schema"
_ID_KEY: Final = "synchromesh.log"

_KEPT: Final = {
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "max_age": 0,
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "allow_direct": True,
    "allow_atomic": True,
    "allow_rollup_hdrs": True,
    "deny_delete": True,
    "deny_purge": False,
}
"""What the stream must be set to: nothing leaves it by itself, a full one refuses, several messages are stored all or none."""


class Stream(msgspec.Struct, frozen=True):
    """The stream as it was found."""

    name: str
    id: str
    created: str
    last: int
    """The number of its last message."""
    origin: str
    """The stream that this one mirrors, or its own name."""

    @property
    def mirror(self) -> bool:
        return self.origin != self.name

    def frames(self, partition: str) -> str:
        """The subject of a partition's frames. The log's id is in it, so that nothing can go to another log under the same name."""
        return f"{self.origin}.{self.id}.log.{token(partition)}"

    def marks(self, partition: str) -> str:
        """The subject of what says through where a partition is archived."""
        return f"{self.origin}.{self.id}.trimmed.{token(partition)}"

    @property
    def all_frames(self) -> str:
        return f"{self.origin}.{self.id}.log.*"

    @property
    def all_marks(self) -> str:
        return f"{self.origin}.{self.id}.trimmed.*"

    @property
    def subjects(self) -> list[str]:
        return [self.all_frames, self.all_marks]


def kind_of(subject: str) -> tuple[str, str]:
    """Of a subject of a stream: `log` or `trimmed`, and the partition."""
    _, _, kind, word = subject.split(".", 3)
    return kind, partition_of(word)


async def find(connection: Connection, access: Access, folder: Path, deadline: float) -> Stream:
    """The log's stream, made when this installation never had one. Raises `LogError`; nothing was written then."""
    stream = await seen(connection, access, folder, deadline) or await _make(connection, access, deadline)
    if not _known(folder) and not stream.mirror:
        _remember(folder, stream.id)
    return stream


async def seen(connection: Connection, access: Access, folder: Path, deadline: float) -> Stream | None:
    """The log's stream, None where it is still to be made; nothing is written. Raises `LogError`."""
    await _check_server(connection, access, deadline)
    known = _known(folder)
    try:
        stream = await look(connection, access.options.mirror or access.options.stream, access, deadline)
    except Refused as refused:
        if refused.code != NOT_FOUND:
            raise
        if known or access.options.mirror:
            raise gone(access) from refused
        return None
    if known and stream.id != known:
        raise LogError(
            f"{access.name} belongs to another installation (it is log {stream.id}, this installation's is {known}): name "
            f"this installation's own stream, or, if it is to be this one, move {folder / IDENTITY} out of the way; nothing was changed"
        )
    return stream


def gone(access: Access) -> LogError:
    """The error for a stream that was there and is not."""
    return LogError(
        f"{access.name} does not exist, and this installation's log was in it: it was deleted, or this is another server; nothing was "
        "changed: stop all processes and restore the stream from a backup or a mirror, or correct the address"
    )


def damaged(place: str, what: str) -> LogCorrupt:
    """The exception for a stream that does not hold what it should."""
    return LogCorrupt(
        f"{place} is damaged ({what}); nothing was changed: stop all processes, keep the stream for examination and restore it from a "
        "backup or a mirror"
    )


async def look(connection: Connection, name: str, access: Access, deadline: float) -> Stream:
    """The stream as the servers have it now. Raises `LogError` for one that is not a log or would not keep one, `Refused`, `Unanswered`."""
    answer = await connection.api(f"STREAM.INFO.{name}", None, deadline)
    return _checked(answer, access)


def _checked(answer: dict[str, Any], access: Access) -> Stream:
    config = answer["config"]
    metadata = config.get("metadata") or {}
    if _ID_KEY not in metadata:
        raise LogError(f"{access.name} is not a log of Synchromesh; name another stream with `stream`; nothing was changed")
    if metadata.get(_SCHEMA_KEY) != SCHEMA:
        raise LogError(
            f"{access.name} has schema {metadata.get(_SCHEMA_KEY)} and this program knows schema {SCHEMA}; use the program that wrote it, "
            "or a newer one"
        )
    mirror = "mirror" in config
    origin = config["mirror"]["name"] if mirror else config["name"]
    stream = Stream(config["name"], metadata[_ID_KEY], answer["created"], answer["state"]["last_seq"], origin)
    if mirror != bool(access.options.mirror):
        raise LogError(
            f"{access.name} is a mirror: nothing can be appended to it; name the stream itself with `stream`, or read with `mirror`"
            if mirror
            else f"{access.name} is not a mirror; name it with `stream`"
        )
    wanted = {} if mirror else {**_KEPT, "subjects": stream.subjects}
    wrong = {key: config.get(key) for key, value in wanted.items() if config.get(key, False) != value}
    if config.get("persist_mode", "default") not in ("", "default"):
        wrong["persist_mode"] = config["persist_mode"]
    if wrong:
        told = ", ".join(f"{key} is {value!r} and must be {wanted.get(key, 'default')!r}" for key, value in wrong.items())
        raise LogError(f"{access.name} is set to something that loses messages or can't be read: {told}; correct it; nothing was changed")
    return stream


async def _make(connection: Connection, access: Access, deadline: float) -> Stream:
    options = access.options
    replicas = options.replicas or (3 if connection.info.get("cluster") else 1)
    new = Stream(options.stream, uuid.uuid4().hex[:16], "", 0, options.stream)
    config = {
        **_KEPT,
        "name": options.stream,
        "description": "the log of a Synchromesh installation; nothing but Synchromesh may publish to it",
        "subjects": new.subjects,
        "num_replicas": replicas,
        "max_bytes": options.room or -1,
        # Whether an append is stored is told by what follows its predecessor, not by a window of time.
        "duplicate_window": 100_000_000,
        "metadata": {_SCHEMA_KEY: SCHEMA, _ID_KEY: new.id},
    }
    try:
        answer = await connection.api(f"STREAM.CREATE.{options.stream}", config, deadline)
    except Refused as refused:
        if refused.code == _NAME_TAKEN:  # another process of this installation was first
            return await look(connection, options.stream, access, deadline)
        raise LogError(
            f"{access.name} can't be made: {refused} (error {refused.code}); the cluster needs {replicas} servers with JetStream and room, "
            "and no other stream may have these subjects; nothing was changed"
        ) from refused
    return _checked(answer, access)


async def _check_server(connection: Connection, access: Access, deadline: float) -> None:
    """Refuse servers that can't hold a log."""
    info = connection.info
    if info.get("max_payload", 0) < LEAST_PAYLOAD + OVERHEAD:
        raise LogError(
            f"{access.name}: the server takes messages of at most {info.get('max_payload')} bytes; set its `max_payload` to 1MB or more, "
            "on every server of the cluster; nothing was changed"
        )
    try:
        answer = await _account(connection, deadline)
    except Refused as refused:
        if refused.code in _NOT_ENABLED:
            raise _not_enabled(access, str(refused)) from refused
        raise
    except Unanswered as unanswered:
        if not info.get("jetstream"):
            raise _not_enabled(access, str(unanswered)) from unanswered
        raise
    if answer.get("api", {}).get("level", 0) < API_LEVEL:
        raise LogError(f"{access.name}: the server has version {info.get('version')}; 2.12 or newer is needed; nothing was changed")


async def _account(connection: Connection, deadline: float) -> Any:
    if connection.info.get("jetstream"):
        return await connection.api("INFO", None, deadline)
    # Another server of the cluster may have it; where none has, nobody answers and there is no use in asking again.
    return await connection.api("INFO", None, min(deadline, connection.now() + 1))


def _not_enabled(access: Access, said: str) -> LogError:
    return LogError(
        f"{access.name}: JetStream is not enabled for this login ({said}); enable it in the server's configuration and restart it"
    )


def _known(folder: Path) -> str:
    path = folder / IDENTITY
    return path.read_text("utf-8").strip() if path.exists() else ""


def _remember(folder: Path, identity: str) -> None:
    provisional = folder / f"{IDENTITY}.new"
    provisional.write_text(identity + "\n", "utf-8")
    publish(provisional, folder / IDENTITY)

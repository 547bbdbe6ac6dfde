"""The sandbox's memory: every entry that changed its books, on disk before anybody hears of it.

One SQLite file, synchronous FULL; one row holds what one request entered, so a crash keeps all of it or nothing. Opening the file replays
it into empty books. A damaged file, or one written under other rules, is refused and never repaired silently.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

import msgspec

from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.records import Entry, Refused, Rules
from synchromesh.model.posting import Aware, Fate


class JournalError(Exception):
    """The journal can't be opened, read or written. The text says what, where and what to do."""


class _Noted(msgspec.Struct, array_like=True, frozen=True):
    """One entry and its time."""

    at: Aware
    entry: Entry


_DECODER = msgspec.json.Decoder(list[_Noted])


class Journal:
    """Used from one thread. `note` what was entered, then `commit` before the answer leaves."""

    def __init__(self, path: Path, rules: Rules) -> None:
        self._path = path
        self._noted: list[_Noted] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
            self._connection.execute("CREATE TABLE IF NOT EXISTS rules (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL)")
            self._keep(rules)
        except (sqlite3.Error, OSError) as error:
            raise self._failed("opened", error) from error

    def note(self, entry: Entry, now: datetime) -> None:
        """Remember an entry for the next commit."""
        self._noted.append(_Noted(now, entry))

    def commit(self) -> None:
        """Make everything noted durable, all or none. Raises `JournalError`; the books in memory are then ahead and must be given up."""
        if not self._noted:
            return
        try:
            self._connection.execute("INSERT INTO entries (body) VALUES (?)", (msgspec.json.encode(self._noted),))
        except sqlite3.Error as error:
            raise self._failed("written", error) from error
        self._noted.clear()

    def replay(self, books: Books) -> None:
        """Enter everything again. Raises `JournalError` where an entry is damaged or no longer gives what it gave."""
        row = 0
        try:
            for row, body in self._connection.execute("SELECT id, body FROM entries ORDER BY id"):
                for noted in _DECODER.decode(body):
                    reply = books.enter(noted.entry, noted.at)
                    if reply is not None and reply.fate is Fate.REJECTED:
                        raise JournalError(f"{self._path}: row {row} was booked once and is refused now; start with an empty directory")
        except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, Refused) as error:
            raise JournalError(f"{self._path}: row {row} or the one after it is damaged ({error}); restore a copy or remove it") from error

    def close(self) -> None:
        self._connection.close()

    def _keep(self, rules: Rules) -> None:
        """The rules that a file began with are its rules for ever: under others its entries could mean something else."""
        body = msgspec.json.encode(rules, order="sorted")
        self._connection.execute("INSERT OR IGNORE INTO rules VALUES (1, ?)", (body,))
        ((kept,),) = self._connection.execute("SELECT body FROM rules").fetchall()
        if kept != body:
            raise JournalError(
                f"{self._path} was begun with other rules, {kept.decode()}, than {body.decode()}; "
                "start with those, or with an empty directory"
            )

    def _failed(self, what: str, error: Exception) -> JournalError:
        return JournalError(
            f"the journal {self._path} can't be {what}: {error}; check the disk's room, its rights, and that it is a journal"
        )

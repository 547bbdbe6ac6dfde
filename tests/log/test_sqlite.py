"""The log on SQLite keeps the contract among openings, threads and processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contracts.log import PATIENCE, Stall, TransactionalLogContract, message

from synchromesh.log import sqlite
from synchromesh.log.agreement import Log
from synchromesh.log.sqlite import SqliteLog
from synchromesh.model.message import Message

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(tmp_path / "log.db")
    yield log
    log.close()


class TestSqliteLog(TransactionalLogContract):
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[SqliteLog]:
        log = SqliteLog(tmp_path / "log.db")
        yield log
        log.close()

    @pytest.fixture
    def again(self, tmp_path: Path) -> Iterator[Callable[[], Log]]:
        opened: list[SqliteLog] = []

        def open_again() -> Log:
            opened.append(SqliteLog(tmp_path / "log.db"))
            return opened[-1]

        yield open_again
        for log in opened:
            log.close()

    @pytest.fixture
    def stalling(self, again: Callable[[], SqliteLog], monkeypatch: pytest.MonkeyPatch) -> Callable[[Stall], Log]:
        def open_stalling(stall: Stall) -> Log:
            log = again()
            insert = log._insert

            def stopping(messages: Sequence[Message], bodies: Sequence[bytes]) -> list[int]:
                positions = insert(messages, bodies)
                stall.here()
                return positions

            monkeypatch.setattr(log, "_insert", stopping)
            return log

        return open_stalling


# An appender of another process that stops inside its transaction, its message written and not committed, until it is told to go on.
STALLING = """
import sys
from pathlib import Path
from synchromesh.log.sqlite import SqliteLog
from tests.contracts.log import message

insert = SqliteLog._insert
def stall(self, messages, bodies):
    positions = insert(self, messages, bodies)
    print("inside", flush=True)
    sys.stdin.readline()
    return positions
SqliteLog._insert = stall
log = SqliteLog(Path(sys.argv[1]))
print(log.append([message(id="first"), message("b", id="first of b")]), flush=True)
log.close()
"""


def _python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_an_appender_that_stalls_inside_its_transaction_hides_nothing_behind_it(log: SqliteLog, tmp_path: Path) -> None:
    with _python(STALLING, str(tmp_path / "log.db")) as stalling, ThreadPoolExecutor(1) as threads:
        assert stalling.stdout
        assert stalling.stdin
        assert stalling.stdout.readline() == "inside\n"
        behind = threads.submit(log.append, [message(id="second")])
        assert log.read({"plant-1": 0, "b": 0}, 10) == {}
        assert not behind.done()
        stalling.stdin.write("\n")
        stalling.stdin.flush()
        assert stalling.stdout.readline() == "[1, 1]\n"
        assert behind.result(PATIENCE) == [2]
    assert [record.message.id for record in log.read({"plant-1": 0}, 10)["plant-1"]] == ["first", "second"]


def test_an_appender_that_dies_inside_its_transaction_leaves_nothing_and_blocks_nobody(log: SqliteLog, tmp_path: Path) -> None:
    with _python(STALLING, str(tmp_path / "log.db")) as stalling:
        assert stalling.stdout
        assert stalling.stdout.readline() == "inside\n"
        stalling.kill()
    assert log.append([message(id="only")]) == [1]
    assert log.head() == {"plant-1": 1}


BUSY = """
import sys
from pathlib import Path
from synchromesh.log.sqlite import SqliteLog
from tests.contracts.log import message

log = SqliteLog(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(1_000_000):
    log.append([message("busy")])
"""


def test_a_busy_process_does_not_starve_another(log: SqliteLog, tmp_path: Path) -> None:
    with _python(BUSY, str(tmp_path / "log.db")) as busy:
        assert busy.stdout
        busy.stdout.readline()
        log.wait({"busy": 10}, PATIENCE)
        before = log.head()["busy"]
        for _ in range(50):
            log.append([message("quiet")])
        between = log.head()["busy"] - before
        busy.kill()
    # The one that is next in line goes first: about one append of the busy one for each of ours, never hundreds.
    assert between < 500


def test_space_of_trimmed_messages_is_used_again(log: SqliteLog, tmp_path: Path) -> None:
    def fill() -> int:
        for _ in range(20):
            log.append([message(body=b"x" * 500) for _ in range(200)])
        log.trim("plant-1", log.head()["plant-1"])
        return (tmp_path / "log.db").stat().st_size

    fill()
    second = fill()
    assert fill() <= second * 1.1


def test_reading_stops_at_its_bytes_but_never_without_a_message(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "READ_BYTES", 1000)
    log.append([message(body=b"x" * 300) for _ in range(5)] + [message("b", body=b"y" * 5000)])
    found = log.read({"plant-1": 0, "b": 0}, 100)
    assert {name: len(records) for name, records in found.items()} == {"plant-1": 1, "b": 1}
    assert len(log.read({"plant-1": 0}, 100)["plant-1"]) == 2

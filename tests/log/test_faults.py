"""Bad disks and bad files: a full disk leaves nothing half done, damage is named and never repaired silently."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contracts.log import message
from tests.log.lossy import ROOT

from synchromesh.log.agreement import LogCorrupt, LogError, LogFull
from synchromesh.log.sqlite import SqliteLog


def test_a_full_disk_takes_nothing_of_a_list_and_works_again_with_room(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    connection = log._writer.connection
    log.append([message()])
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(LogFull, match=r"log\.db: no room") as error:
        log.append([message(body=b"x" * 2000) for _ in range(100)] + [message("new")])
    assert "free space" in str(error.value)
    assert log.head() == {"plant-1": 1}
    assert log.append([message()]) == [2]
    connection.execute("PRAGMA max_page_count = 1000000")
    assert log.append([message(body=b"x" * 2000) for _ in range(100)] + [message("new")])[-2:] == [102, 1]
    assert len(log.read({"plant-1": 0}, 1000)["plant-1"]) == 102
    log.close()


# Appends until the system refuses to let a file grow, says so, and goes on when it may.
LIMITED = """
import resource, sys
from pathlib import Path
from synchromesh.log.agreement import LogFull
from synchromesh.log.sqlite import SqliteLog
from tests.contracts.log import message

log = SqliteLog(Path(sys.argv[1]))
log.append([message()])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
count = 1
try:
    while True:
        log.append([message(body=b"x" * 3000) for _ in range(10)])
        count += 10
except LogFull as error:
    print(error)
assert log.head() == {"plant-1": count}, (log.head(), count)
assert len(log.read({"plant-1": 0}, 10_000)["plant-1"]) == count
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert log.append([message(body=b"x" * 3000) for _ in range(10)])[-1] == count + 10
log.close()
"""


def test_a_file_that_may_not_grow_is_no_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "log.db")], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    )
    assert "no room to write" in done.stdout
    log = SqliteLog(tmp_path / "log.db")
    assert log.head()["plant-1"] % 10 == 1
    log.close()


def _filled(path: Path) -> int:
    log = SqliteLog(path)
    for _ in range(40):
        log.append([message(body=random.Random(1).randbytes(700)) for _ in range(10)])
    log.close()
    return path.stat().st_size


def _read_all(path: Path) -> None:
    log = SqliteLog(path)
    try:
        log.read({"plant-1": 0}, 1000)
    finally:
        log.close()


@pytest.mark.parametrize("where", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_overwritten_pages_are_found_named_and_left_alone(tmp_path: Path, where: float) -> None:
    path = tmp_path / "log.db"
    size = _filled(path)
    with path.open("r+b") as file:
        file.seek(int(size * where) // 4096 * 4096)
        file.write(random.Random(2).randbytes(3 * 4096))
    before = path.read_bytes()
    with pytest.raises(LogCorrupt, match=r"log\.db is damaged") as error:
        _read_all(path)
    assert "backup in its place" in str(error.value)
    assert path.read_bytes() == before


def test_a_changed_byte_of_a_message_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteLog(path)
    log.append([message(body=b"one hundred pieces")])
    log.close()
    path.write_bytes(path.read_bytes().replace(b"one hundred", b"two hundred"))
    with pytest.raises(LogCorrupt, match="position 1: the checksum differs"):
        _read_all(path)


def test_a_missing_message_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    _filled(path)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM message WHERE at & 1048575 = 17")
    connection.commit()
    connection.close()
    with pytest.raises(LogCorrupt, match="no message at position 17"):
        _read_all(path)
    log = SqliteLog(path)
    with pytest.raises(LogCorrupt, match="no message at position 17"):
        log.trim("plant-1", 100)
    assert log.read({"plant-1": 0}, 16)["plant-1"][-1].position == 16
    log.close()


def test_a_truncated_file_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    size = _filled(path)
    os.truncate(path, size // 2 // 4096 * 4096)
    with pytest.raises(LogCorrupt, match=r"log\.db is damaged"):
        _read_all(path)


@pytest.mark.parametrize("content", [b"", b"hello, this is a text file\n" * 500, b"SQLite format 3\0" + b"\0" * 4096])
def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(content)
    with pytest.raises(LogCorrupt, match=r"log\.db is damaged"):
        SqliteLog(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE message (at INTEGER)")
    connection.close()
    with pytest.raises(LogCorrupt, match="not a log of Synchromesh"):
        SqliteLog(path)


def test_a_log_of_a_newer_program_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    _filled(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(LogError, match=r"schema 7 .* schema 2; use the program that wrote it"):
        SqliteLog(path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"nowhere.*make sure that the directory exists"):
        SqliteLog(tmp_path / "nowhere" / "log.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cant_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LogError, match="is writable"):
        SqliteLog(tmp_path / "log.db")


def test_a_creation_that_died_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "log.db.new").write_bytes(b"half a database")
    log = SqliteLog(tmp_path / "log.db")
    assert log.append([message()]) == [1]
    log.close()

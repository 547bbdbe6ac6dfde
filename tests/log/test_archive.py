"""The archive: what trim takes out is there, in order, and whoever touches it breaks a link that is named."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.log import message

from synchromesh.log import sqlite
from synchromesh.log.agreement import LogCorrupt, LogError
from synchromesh.log.archive import ARCHIVE, Segment, read_archive, write_segment
from synchromesh.log.sqlite import SqliteLog
from synchromesh.model.message import Message


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteLog]:
    monkeypatch.setattr(sqlite, "SEGMENT_MESSAGES", 3)
    log = SqliteLog(tmp_path / "log.db")
    yield log
    log.close()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / ARCHIVE


def _trimmed(log: SqliteLog, count: int = 8, partition: str = "plant-1") -> list[Message]:
    told = [message(partition, b"x" * number) for number in range(count)]
    log.append(told)
    log.trim(partition, count)
    return told


def test_what_was_trimmed_is_read_from_the_archive_in_order(log: SqliteLog, archive: Path) -> None:
    told = _trimmed(log)
    assert [path.name for path in sorted((archive / "plant-1").iterdir())] == [
        "0000000000001-0000000000003.log.gz",
        "0000000000004-0000000000006.log.gz",
        "0000000000007-0000000000008.log.gz",
    ]
    found = list(read_archive(archive, "plant-1", log.chain("plant-1")))
    assert [(record.position, record.message) for record in found] == list(enumerate(told, 1))


def test_nothing_trimmed_is_an_empty_archive(log: SqliteLog, archive: Path) -> None:
    log.append([message()])
    assert list(read_archive(archive, "plant-1", log.chain("plant-1"))) == []


@pytest.mark.parametrize("name", ["../../etc", "..", ".", "a/b", "Werk Köln", "a%2Fb", "*"])
def test_a_partitions_name_never_leads_out_of_the_archive(log: SqliteLog, archive: Path, name: str) -> None:
    told = _trimmed(log, 4, name)
    [folder] = archive.iterdir()
    assert folder.parent.resolve() == archive.resolve()
    assert folder.is_dir()
    assert [record.message for record in read_archive(archive, name, log.chain(name))] == told


def _segments(archive: Path) -> list[Path]:
    return sorted((archive / "plant-1").iterdir())


def test_a_changed_segment_breaks_the_chain_behind_it(log: SqliteLog, archive: Path) -> None:
    _trimmed(log)
    second = _segments(archive)[1]
    with gzip.open(second) as file:
        content = file.read()
    # Another body of the same length: a segment that reads well and was not the one.
    second.write_bytes(gzip.compress(content.replace(b"xxxx", b"yyyy")))
    with pytest.raises(LogCorrupt, match="0000000000007-0000000000008") as error:
        list(read_archive(archive, "plant-1"))
    assert "position 7" in str(error.value)


def test_a_changed_last_segment_is_found_by_the_log(log: SqliteLog, archive: Path) -> None:
    _trimmed(log)
    last = _segments(archive)[2]
    with gzip.open(last) as file:
        content = file.read()
    last.write_bytes(gzip.compress(content.replace(b"xxxx", b"yyyy")))
    with pytest.raises(LogCorrupt, match="last segment"):
        list(read_archive(archive, "plant-1", log.chain("plant-1")))


def test_a_missing_segment_is_named(log: SqliteLog, archive: Path) -> None:
    _trimmed(log)
    first, second, last = _segments(archive)
    last.unlink()
    with pytest.raises(LogCorrupt, match="last segment"):
        list(read_archive(archive, "plant-1", log.chain("plant-1")))
    first.unlink()
    with pytest.raises(LogCorrupt, match=second.name):
        list(read_archive(archive, "plant-1"))


@pytest.mark.parametrize("content", [b"", b"not gzip at all", *(gzip.compress(each, mtime=0) for each in (b"", b"{}\n", b"x" * 10_000))])
def test_a_segment_that_is_none_is_named(log: SqliteLog, archive: Path, content: bytes) -> None:
    _trimmed(log)
    second = _segments(archive)[1]
    second.write_bytes(content)
    with pytest.raises(LogCorrupt, match=second.name):
        list(read_archive(archive, "plant-1"))


@pytest.mark.parametrize("keep", [20, -1, -9])
def test_a_truncated_segment_is_named(log: SqliteLog, archive: Path, keep: int) -> None:
    _trimmed(log)
    last = _segments(archive)[-1]
    last.write_bytes(last.read_bytes()[:keep])
    with pytest.raises(LogCorrupt, match=last.name):
        list(read_archive(archive, "plant-1"))


def test_a_trim_that_died_before_it_forgot_is_done_again(log: SqliteLog, archive: Path) -> None:
    told = [message() for _ in range(8)]
    log.append(told)
    # The segments of a trim through 5 were written, then the process died: the log still has everything.
    write_segment(archive, Segment("plant-1", 1, 5, ""), [b"as it was"])
    (archive / "plant-1" / "segment.log.gz.new").write_bytes(b"half")
    log.trim("plant-1", 8)
    assert [record.message for record in read_archive(archive, "plant-1", log.chain("plant-1"))] == told


def test_an_archive_that_cant_be_written_keeps_the_log_as_it_was(log: SqliteLog, archive: Path) -> None:
    log.append([message() for _ in range(5)])
    archive.write_text("a file where the folder should be")
    with pytest.raises(LogError, match="archive"):
        log.trim("plant-1", 5)
    assert len(log.read({"plant-1": 0}, 10)["plant-1"]) == 5
    archive.unlink()
    log.trim("plant-1", 5)
    assert len(list(read_archive(archive, "plant-1", log.chain("plant-1")))) == 5


def test_the_same_messages_make_the_same_segment(tmp_path: Path) -> None:
    segment = Segment("plant-1", 1, 2, "")
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        digests.add(write_segment(tmp_path / name, segment, [b"1", b"2"]))
    assert len(digests) == 1

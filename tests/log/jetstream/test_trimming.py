"""Trimming: archived, marked, purged; nothing is lost wherever it stops, and the position of the end stays known."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contracts.log import PATIENCE, message
from tests.log.jetstream.conftest import Beside, Opens

from synchromesh.log.agreement import LogAway, LogError, Trimmed
from synchromesh.log.archive import ARCHIVE, read_archive
from synchromesh.log.jetstream import trimmer as trimmers
from synchromesh.log.jetstream.connection import Connection, Unanswered


def positions(archive: Path, chain: str) -> list[int]:
    return [record.position for record in read_archive(archive, "plant-1", chain)]


def test_what_leaves_the_log_is_in_the_archive_in_one_chain(opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimmers, "SEGMENT_MESSAGES", 7)
    log = opens()
    for number in range(10):
        log.append([message(id=f"{number}-{part}") for part in range(3)] + [message("b")])
    log.trim("plant-1", 10)
    log.trim("plant-1", 25)
    assert positions(tmp_path / ARCHIVE, log.chain("plant-1")) == list(range(1, 26))
    assert [record.message.id for record in read_archive(tmp_path / ARCHIVE, "plant-1")][24] == "8-0"
    late = opens()
    assert late.chain("plant-1") == log.chain("plant-1") != ""
    assert late.chain("b") == ""
    with pytest.raises(Trimmed, match="through 25"):
        late.read({"plant-1": 24}, 1)
    assert [record.message.id for record in late.read({"plant-1": 25}, 2)["plant-1"]] == ["8-1", "8-2"]
    assert late.append([message()]) == [31]


def test_space_is_given_back_and_only_the_last_frame_stays(opens: Opens, beside: Beside, stream: str) -> None:
    log = opens()
    for _ in range(20):
        log.append([message(body=b"x" * 50_000)])
    log.trim("plant-1", 20)
    state = beside.api(f"STREAM.INFO.{stream}")["state"]
    assert state["messages"] == 2, "the last frame and the mark"
    assert state["bytes"] < 60_000
    assert opens().head() == {"plant-1": 20}
    assert opens().append([message()]) == [21]


def test_a_second_trimmer_needs_the_same_archive(opens: Opens, tmp_path: Path) -> None:
    log = opens()
    log.append([message() for _ in range(9)])
    log.trim("plant-1", 3)
    (tmp_path / "elsewhere").mkdir()
    other = opens(folder=tmp_path / "elsewhere")
    with pytest.raises(LogError, match="give all processes that trim the same archive folder"):
        other.trim("plant-1", 6)
    opens().trim("plant-1", 6)
    assert log.head() == {"plant-1": 9}
    log.trim("plant-1", 8)
    assert positions(tmp_path / ARCHIVE, log.chain("plant-1")) == list(range(1, 9))


def test_of_two_that_trim_one_is_refused_and_the_chain_goes_on(opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a worker that was given up for dead wakes inside a trim: its archive is another folder's, its mark comes too late."""
    log = opens()
    (tmp_path / "elsewhere").mkdir()
    stale = opens(folder=tmp_path / "elsewhere")
    log.append([message() for _ in range(9)])
    real = trimmers.write_segment

    def overtaken(archive: Path, *words: object) -> str:
        digest = real(archive, *words)  # type: ignore[arg-type]
        if archive.parent.name == "elsewhere":
            log.trim("plant-1", 4)
        return digest

    monkeypatch.setattr(trimmers, "write_segment", overtaken)
    with pytest.raises(LogError, match="was trimmed through 4 by another process"):
        stale.trim("plant-1", 6)
    log.trim("plant-1", 7)
    assert positions(tmp_path / ARCHIVE, log.chain("plant-1")) == list(range(1, 8))


@pytest.mark.parametrize("at", ["trimmed", "PURGE"])
@pytest.mark.parametrize("done", [True, False])
def test_a_trim_that_breaks_off_is_finished_by_the_next(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, done: bool
) -> None:
    """Its answer is lost, again and again, at one of its steps: after the step was done, or before."""
    log = opens(patience=1)
    for _ in range(5):
        log.append([message(), message()])
    real = Connection.ask

    async def ask(self: Connection, subject: str, payload: bytes, headers: object, deadline: float) -> object:
        if self is log._connection and at in subject:
            if done:
                await real(self, subject, payload, headers, deadline)  # type: ignore[arg-type]
            raise Unanswered("lost", sent=True)
        return await real(self, subject, payload, headers, deadline)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "ask", ask)
        with pytest.raises(LogAway):
            log.trim("plant-1", 5)
    for again in (log, opens()):
        again.trim("plant-1", 5)
        assert [record.position for record in again.read({"plant-1": 5}, 10)["plant-1"]] == [6, 7, 8, 9, 10]
        with pytest.raises(Trimmed):
            again.read({"plant-1": 4}, 1)
        assert positions(tmp_path / ARCHIVE, again.chain("plant-1")) == [1, 2, 3, 4, 5]
    opens().trim("plant-1", 7)
    assert positions(tmp_path / ARCHIVE, opens().chain("plant-1")) == list(range(1, 8))


def test_a_partition_that_is_moved_here_goes_on_behind_its_archive(opens: Opens) -> None:
    log = opens()
    log.resume("plant-1", 41, "abc")
    assert log.head() == opens().head() == {"plant-1": 41}
    assert opens().chain("plant-1") == "abc"
    with pytest.raises(Trimmed):
        opens().read({"plant-1": 40}, 1)
    assert opens().append([message(id="next")]) == [42]
    assert log.wait({"plant-1": 41}, PATIENCE)
    assert log.read({"plant-1": 41}, 5)["plant-1"][0].message.id == "next"
    for moved in (log, opens()):
        with pytest.raises(LogError, match="has messages through 42"):
            moved.resume("plant-1", 50, "")

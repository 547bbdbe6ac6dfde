"""Backup and restore: taken while everything runs, whole or not at all; after a restore everything is as the log makes it, and nothing is
booked twice."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.app.installation import Installation, installation, report, until
from tests.app.test_faults import in_words
from tests.app.told import Told, empty

from synchromesh.app.holding import Holding
from synchromesh.app.manifest import read_manifest
from synchromesh.app.stores import Stores
from synchromesh.model.message import NATIVE, Message
from synchromesh.plant.rows import Changes


@pytest.fixture(params=["folder", "file"])
def name(request: pytest.FixtureRequest) -> str:
    return "backup" if request.param == "folder" else "backup.tar"


def backed_up(plant: Told, to: Path) -> Any:
    made = plant.command("backup", to, "--json")
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def restored(plant: Told, backup: Path) -> Any:
    done = plant.command("restore", backup, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("trimmed", [0, 120])
def test_a_restored_installation_has_the_messages_and_the_state_that_were_backed_up(tmp_path: Path, name: str, trimmed: int) -> None:
    before = Told(tmp_path / "before", trimmed=trimmed)
    rows, messages = before.rows(), before.messages()
    made = backed_up(before, tmp_path / name)
    assert made["partitions"]["oslo"]["trimmed"] == trimmed
    assert made["partitions"]["oslo"]["head"] == len(messages) == made["partitions"]["oslo"]["position"] + 3
    after = empty(tmp_path / "after")
    assert restored(after, tmp_path / name)["finished"]
    assert after.rows() == rows
    assert after.messages()[:-1] == messages
    assert b"copy" in after.messages()[-1].body
    with closing(Stores(after.settings).log()) as log, closing(Stores(before.settings).log()) as other:
        assert log.chain("oslo") == other.chain("oslo")
    after.fold()
    assert after.command("verify").returncode == 0


def test_what_partitions_had_still_to_forward_is_forwarded_after_a_restore(tmp_path: Path) -> None:
    before = Told(tmp_path / "before")
    with closing(Stores(before.settings).state()) as state:
        pending = [Message("bergen", "synchromesh", f"f{index}", NATIVE, datetime.now(UTC), b"{}") for index in range(3)]
        epochs = state.attend("test", ["oslo"])
        now = msgspec.msgpack.decode(next(state.rows("oslo"))[2])[1]
        state.commit(epochs, [Changes("oslo", state.positions()["oslo"], forwards=pending, now=now)])
    backed_up(before, tmp_path / "backup")
    after = empty(tmp_path / "after")
    restored(after, tmp_path / "backup")
    with closing(Stores(after.settings).state()) as state:
        assert state.forwards(["oslo"], 9) == [("oslo", message) for message in pending]


def test_an_installation_that_has_something_in_it_is_not_restored_into(tmp_path: Path) -> None:
    before = Told(tmp_path / "before")
    backed_up(before, tmp_path / "backup")
    other = Told(tmp_path / "other", facts=5)
    rows, messages = other.rows(), other.messages()
    said = in_words(other.command("restore", tmp_path / "backup"), 3)
    assert "has something in it" in said
    assert f"{len(messages) + 1} messages" in said, "with the one of the enterprise"
    assert (other.rows(), other.messages()) == (rows, messages)


@pytest.mark.parametrize("left", ["state.db", "log.db", "state.claims"])
def test_claims_or_a_half_of_an_older_copy_are_something(tmp_path: Path, left: str) -> None:
    """Claims of an older copy would be trusted, and what was sent since would be sent again."""
    before = Told(tmp_path / "before")
    backed_up(before, tmp_path / "backup")
    other = Told(tmp_path / "other", facts=5)
    for file in other.data.iterdir():
        if not file.name.startswith(left) and file.is_file():
            file.unlink()
    in_words(other.command("restore", tmp_path / "backup"), 3)


def test_nothing_is_restored_beside_somebody_who_runs(tmp_path: Path) -> None:
    backed_up(Told(tmp_path / "before"), tmp_path / "backup")
    after = empty(tmp_path / "after")
    with running(after):
        assert "another synchromesh serve runs" in in_words(after.command("restore", tmp_path / "backup"), 2)


@contextmanager
def running(plant: Told) -> Iterator[None]:
    """Somebody runs on the data folder."""
    held = Holding(plant.data, "")
    yield
    held.release()


def spoil(backup: Path, pattern: str) -> Path:
    (path,) = list(backup.glob(pattern))[-1:]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pattern", ["archive/oslo/*", "forwards.msgpack"])
def test_a_backup_that_was_changed_is_refused_before_anything_is_written(tmp_path: Path, pattern: str) -> None:
    backed_up(Told(tmp_path / "before", trimmed=100), tmp_path / "backup")
    path = spoil(tmp_path / "backup", pattern)
    after = empty(tmp_path / "after")
    said = in_words(after.command("restore", tmp_path / "backup"), 3)
    assert str(path) in said
    assert not (after.data / "log.db").exists()


def test_what_is_no_backup_is_said_to_be_none(tmp_path: Path) -> None:
    after = empty(tmp_path / "after")
    assert "there is no backup" in in_words(after.command("restore", tmp_path / "nowhere"), 3)
    assert "is no backup" in in_words(after.command("restore", tmp_path), 3)
    (tmp_path / "text.tar").write_text("not packed")
    assert "can't be unpacked" in in_words(after.command("restore", tmp_path / "text.tar"), 3)
    outside = tmp_path / "hostile.tar"
    with tarfile.open(outside, "w") as tar:
        tar.add(after.config, arcname="../../escaped")
    in_words(after.command("restore", outside), 3)
    assert not list(tmp_path.rglob("escaped"))


def test_a_backup_never_replaces_one_and_an_empty_installation_has_none(tmp_path: Path) -> None:
    plant = Told(tmp_path / "before", facts=5)
    backed_up(plant, tmp_path / "backup")
    kept = read_manifest(tmp_path / "backup")
    assert "is there already" in in_words(plant.command("backup", tmp_path / "backup"), 3)
    assert read_manifest(tmp_path / "backup") == kept
    assert "nothing is stored yet" in in_words(empty(tmp_path / "after").command("backup", tmp_path / "none"), 3)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_state_that_the_log_does_not_make_is_told_and_goes_on_only_when_it_may(tmp_path: Path) -> None:
    before = Told(tmp_path / "before")
    with closing(Stores(before.settings).state()) as state:
        state._connection.execute("UPDATE entity SET value = x'80' WHERE kind = 'stock'")  # type: ignore[attr-defined]
        state._connection.execute("DELETE FROM entity WHERE kind = 'clock'")  # type: ignore[attr-defined]
    backed_up(before, tmp_path / "backup")
    after = empty(tmp_path / "after")
    told = after.command("restore", tmp_path / "backup")
    assert told.returncode == 1
    assert "--differing" in told.stdout
    assert "restore of" in in_words(after.command("serve"), 3)
    assert after.command("restore", tmp_path / "backup", "--differing").returncode == 1
    after.fold()
    assert after.command("verify").returncode == 0


def kill_when(words: list[str], there: Path, size: int) -> int:
    """Run a command, and kill it as soon as a file has a size; how it ended."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: process.poll() is not None or (there.exists() and there.stat().st_size >= size), f"{there} to grow")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode


@pytest.mark.parametrize(("file", "size"), [("log.db-wal", 200_000), ("state.db-wal", 400_000)])
def test_a_restore_that_was_killed_can_only_be_finished_by_repeating_it(tmp_path: Path, file: str, size: int) -> None:
    before = Told(tmp_path / "before", facts=20_000, trimmed=3_000)
    rows = before.rows()
    backed_up(before, tmp_path / "backup")
    after = empty(tmp_path / "after")
    words = [sys.executable, "-m", "synchromesh.cli", "restore", str(tmp_path / "backup"), "--config", str(after.config)]
    assert kill_when(words, after.data / file, size) == -signal.SIGKILL
    assert "is not finished" in in_words(after.command("serve"), 3)
    backed_up(Told(tmp_path / "another", facts=5), tmp_path / "other")
    assert "has something in it" in in_words(after.command("restore", tmp_path / "other"), 3)
    restored(after, tmp_path / "backup")
    assert after.rows() == rows


# --- the whole ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


def test_a_backup_of_a_running_installation_is_restored_and_what_was_booked_since_is_not_booked_again(plant: Installation) -> None:
    plant.release("4711")
    serve = plant.serve()
    for number in range(40):
        serve.tell(report(f"before-{number}", "4711"))
    serve.tell(report("waits", "4712"))  # its order comes after the backup
    made = plant.command("backup", plant.folder / "backup", "--json")
    assert made.returncode == 0, made.stderr
    for number in range(10):
        serve.tell(report(f"since-{number}", "4711"))
    plant.release("4712")
    plant.settled(serve, 51)
    assert len(plant.documents("4712")) == 1
    booked = len(plant.documents("4711"))
    assert serve.end() == 0

    (plant.folder / "data").rename(plant.folder / "lost")
    done = plant.command("restore", plant.folder / "backup", "--json")
    assert done.returncode == 0, done.stderr
    serve = plant.serve()
    plant.settled(serve, 41)
    assert (len(plant.documents("4711")), len(plant.documents("4712"))) == (booked, 1)
    serve.tell(report("after", "4711"))
    plant.settled(serve, 42)
    assert len(plant.documents("4711")) == booked + 1
    plant.verified()


def test_a_data_folder_put_back_from_a_snapshot_books_nothing_twice_when_it_is_told_that_it_is_one(plant: Installation) -> None:
    """With its claims, which know nothing of what was sent since: the case that nothing in the folder tells."""
    plant.release("4711")
    serve = plant.serve()
    serve.tell(report("before", "4711"))
    serve.tell(report("waits", "4712"))
    until(lambda: serve.look("/v1/summary")["fates"] == {"booked": 1, "waiting": 1}, "both fates")
    assert serve.end() == 0
    shutil.copytree(plant.folder / "data", plant.folder / "snapshot")
    serve = plant.serve()
    plant.release("4712")
    serve.tell(report("since", "4711"))
    plant.settled(serve, 3)
    assert serve.end() == 0
    booked = len(plant.documents("4711"))
    assert (booked, len(plant.documents("4712"))) == (2, 1)

    (plant.folder / "data").rename(plant.folder / "lost")
    (plant.folder / "snapshot").rename(plant.folder / "data")
    found = plant.command("restore", "--as-found", "--json")
    assert found.returncode == 0, found.stderr
    serve = plant.serve()
    plant.settled(serve, 2)
    serve.tell(report("after", "4711"))
    plant.settled(serve, 3)
    assert (len(plant.documents("4711")), len(plant.documents("4712"))) == (booked + 1, 1)
    plant.verified()


def test_restoring_needs_a_backup_or_to_be_told_that_there_is_none(tmp_path: Path) -> None:
    after = empty(tmp_path / "after")
    assert "name a backup" in in_words(after.command("restore"), 2)
    assert "name a backup" in in_words(after.command("restore", tmp_path, "--as-found"), 2)
    assert "nothing is stored here" in in_words(after.command("restore", "--as-found"), 3)

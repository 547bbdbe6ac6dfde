"""The drop folder: what becomes of files and their rows, of restarts and of folders that can't be used."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.contracts.edge import Gate, until
from tests.edges.plant import NOW, OnePlant, clock

from synchromesh.edges.agreement import Intake
from synchromesh.edges.files import rows
from synchromesh.edges.files.drop import FileEdge
from synchromesh.edges.files.folder import Drop
from synchromesh.edges.files.rows import NotCsv, Row, read_rows
from synchromesh.edges.http.read import read
from synchromesh.edges.http.route import Kind, Route
from synchromesh.log.agreement import LogFull
from synchromesh.model.event import CanonicalEvent, InputEnded
from synchromesh.model.message import OWN, Message


def edge_over(folder: Path, **settings: object) -> FileEdge:
    drop = msgspec.convert(
        {"folder": str(folder), "plant": "oslo", "interface": "mes/1", **settings}, Drop, dec_hook=lambda kind, value: kind(value)
    )
    return FileEdge(drop, catalogue=OnePlant(), clock=clock, interval=0.002)


@asynccontextmanager
async def watching(folder: Path, intake: Intake, **settings: object) -> AsyncIterator[None]:
    edge = edge_over(folder, **settings)
    await edge.start(intake)
    try:
        yield
    finally:
        await edge.stop()


async def through(folder: Path, content: bytes, name: str = "a.csv", **settings: object) -> list[Message]:
    """What a file becomes, whether it ends in `done` or in `failed`."""
    gate = Gate()
    (folder / name).write_bytes(content)
    async with watching(folder, gate, **settings):
        await until(lambda: not (folder / name).exists(), "the file's leaving")
    return gate.stored


def ids(messages: Sequence[Message]) -> list[str]:
    return [message.id for message in messages]


async def test_each_row_is_a_message_as_http_would_have_it_and_the_end_is_another(tmp_path: Path) -> None:
    messages = await through(tmp_path, '\ufeffno,Qty Completed,Part\r\n1,5,Nut\r\n\r\n2,7,"Bolt, ""long""\r\nsteel"\r\n'.encode())
    *facts, end = messages
    bodies = [json.loads(message.body) for message in facts]
    assert bodies == [
        {"no": "1", "Qty Completed": "5", "Part": "Nut", "_line": 1, "_file": "a.csv"},
        {"no": "2", "Qty Completed": "7", "Part": 'Bolt, "long"\r\nsteel', "_line": 2, "_file": "a.csv"},
    ]
    headers = {b"content-type": b"application/json"}
    posted = read(Route(Kind.MESSAGES, "oslo", "mes/1"), headers, b"[%b]" % b",".join(message.body for message in facts), NOW, OnePlant())
    assert posted == facts
    assert (end.partition, end.source, end.interface) == ("oslo", "mes", OWN)
    assert msgspec.json.decode(end.body, type=CanonicalEvent) == InputEnded("mes", "a.csv")
    assert (tmp_path / "done" / "a.csv").exists()


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (b"no;part\n1;\xfc,\n", {"delimiter": ";", "encoding": "cp1252"}),
        ("no\tpart\n1\tü,\n".encode(), {"delimiter": "\t"}),
    ],
)
async def test_delimiter_and_encoding_are_settings(tmp_path: Path, content: bytes, settings: dict[str, object]) -> None:
    assert json.loads((await through(tmp_path, content, **settings))[0].body)["part"] == "ü,"


async def test_a_row_that_is_none_goes_as_its_text_with_the_reason(tmp_path: Path) -> None:
    content = b'no,part\n1,a\n2,\xff\n3,b,c\n4\n"5,never closed\n6,x\ny"z,"q"q\n8,a\0\n,\n9,b\n'
    *facts, end = await through(tmp_path, content)
    told = [message.body.decode("utf-8", "replace") for message in facts]
    unreadable = [n for n, message in enumerate(facts, 1) if message.content_type == "text/plain"]
    assert unreadable == [2, 3, 4, 5, 7, 8, 9]
    assert "no text" in told[1]
    assert "3 values where the header names 2" in told[2]
    assert told[2].endswith("\n3,b,c\n")
    assert json.loads(told[5])["no"] == "6"
    assert end.interface == OWN
    for n in unreadable:
        assert told[n - 1].startswith(f"row {n} of the file a.csv can't be read: ")
        assert facts[n - 1].interface == "mes/1"
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(told[n - 1])
    assert len(set(ids(facts))) == len(facts)


async def test_a_row_without_identity_goes_as_text_too(tmp_path: Path) -> None:
    (fact, _) = await through(tmp_path, b"number,part\n1,a\n")
    assert b"the field 'no' is missing" in fact.body
    assert fact.body.endswith(b"\n1,a\n")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\n1,2\n", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no text"),
        (b"\xff\xfen\0o\0\n\0", "no text"),
        (b"no\rpart\r1\r2\r", "no header"),
        (b'"no,part\n1,2\n', "no header"),
        (b"no,no\n1,2\n", "twice"),
        (b"no,_line\n1,2\n", "_line"),
        (b"no,_file\n1,2\n", "_file"),
        (b"x" * 200_000, "no header"),
    ],
)
async def test_what_is_no_csv_fails_with_a_reason_beside_it(tmp_path: Path, content: bytes, word: str) -> None:
    assert await through(tmp_path, content) == []
    assert (tmp_path / "failed" / "a.csv").read_bytes() == content
    assert word in (tmp_path / "failed" / "a.csv.reason.txt").read_text()


async def test_a_file_over_the_limit_fails(tmp_path: Path) -> None:
    assert await through(tmp_path, b"no\n1\n2\n3\n", max_bytes=8) == []
    assert "9 bytes" in (tmp_path / "failed" / "a.csv.reason.txt").read_text()


async def test_no_rows_are_an_end_all_the_same(tmp_path: Path) -> None:
    (end,) = await through(tmp_path, b"no,part\n")
    assert end.interface == OWN


async def test_earlier_files_of_a_name_are_kept(tmp_path: Path) -> None:
    for n in range(3):
        await through(tmp_path, b"no\n%d\n" % n)
        await through(tmp_path, b"", name="b.csv")
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["a.2.csv", "a.3.csv", "a.csv"]
    assert len(list((tmp_path / "failed").glob("b*.csv"))) == len(list((tmp_path / "failed").glob("*.reason.txt"))) == 3


async def test_unfinished_and_hidden_files_and_links_are_left_alone(tmp_path: Path) -> None:
    gate = Gate()
    for name in ("a.csv.part", ".b.csv"):
        (tmp_path / name).write_text("no\n1\n")
    (tmp_path / "c.csv").symlink_to(tmp_path / "a.csv.part")
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "real.csv").write_text("no\n2\n")
    async with watching(tmp_path, gate):
        await until((tmp_path / "done" / "real.csv").exists, "the real file")
        (tmp_path / "a.csv.part").rename(tmp_path / "a.csv")
        await until((tmp_path / "done" / "a.csv").exists, "the renamed file")
    assert [message.id for message in gate.stored if message.interface != OWN] == ["2", "1"]


async def test_a_file_is_taken_only_when_it_has_stopped_growing(tmp_path: Path) -> None:
    gate = Gate()
    path = tmp_path / "a.csv"
    edge = edge_over(tmp_path)
    edge._intake = gate
    (tmp_path / "done").mkdir()
    path.write_text("no\n")
    for n in range(20):
        with path.open("a") as file:
            file.write(f"{n}\n")
        os.utime(path, ns=(n, n))
        await edge._look()
        assert gate.calls == 0
    await edge._look()
    assert (tmp_path / "done" / "a.csv").exists()
    assert ids(gate.stored)[:-1] == [str(n) for n in range(20)]


async def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    gate = Gate()
    gate.open.clear()
    path = tmp_path / "a.csv"
    path.write_text("no\n1\n")
    async with watching(tmp_path, gate):
        await asyncio.wait_for(gate.arrived.wait(), 10)
        with path.open("a") as file:
            file.write("2\n")
        gate.open.set()
        await until((tmp_path / "done" / "a.csv").exists, "the file's end")
    assert ids(gate.stored)[:-1] in (["1", "1", "2"], ["1", "2", "1", "2"])
    assert [message.interface for message in gate.stored].count(OWN) == 1


async def test_oldest_first(tmp_path: Path) -> None:
    gate = Gate()
    for age, name in enumerate(["c.csv", "a.csv", "b.csv"], 1):
        (tmp_path / name).write_text(f"no\n{name}\n")
        os.utime(tmp_path / name, (age, age))
    async with watching(tmp_path, gate):
        await until(lambda: len(list((tmp_path / "done").iterdir())) == 3, "three files")
    assert [message.id for message in gate.stored if message.interface != OWN] == ["c.csv", "a.csv", "b.csv"]


class Dying(Gate):
    """An intake before a process that dies after so many batches."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives
        self.dead = asyncio.Event()

    async def accept(self, messages: Sequence[Message]) -> list[int]:
        if self.lives == 0:
            self.dead.set()
            await asyncio.Event().wait()
        self.lives -= 1
        return await super().accept(messages)


@pytest.mark.parametrize("lives", [0, 1, 2, 3])
async def test_killed_and_started_again_it_sends_the_same_identities(tmp_path: Path, lives: int) -> None:
    content = "no\n" + "".join(f"{n}\n" for n in range(1_200)) + "1,too many\n"
    (tmp_path / "a.csv").write_text(content)
    dying = Dying(lives)
    edge = edge_over(tmp_path)
    await edge.start(dying)
    await asyncio.wait_for(dying.dead.wait(), 10)
    edge._task.cancel()
    assert (tmp_path / "a.csv").exists()
    whole = Gate()
    async with watching(tmp_path, whole):
        await until((tmp_path / "done" / "a.csv").exists, "the file's end")
    assert dying.stored == whole.stored[: len(dying.stored)]
    assert len(whole.stored) == 1_202
    assert len(set(ids(whole.stored))) == 1_202


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The log lines with what they say is wrong."""
    return [(record.getMessage(), str(record.synchromesh.get("error", ""))) for record in caplog.records if hasattr(record, "synchromesh")]


async def test_a_full_log_is_told_once_and_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    gate.error = LogFull("the disk is full; free some")
    (tmp_path / "a.csv").write_text("no\n1\n")
    async with watching(tmp_path, gate):
        await until(lambda: gate.calls >= 3, "three tries")
        gate.error = None
        await until((tmp_path / "done" / "a.csv").exists, "the file's end")
    assert [name for name, error in told(caplog) if "the disk is full; free some" in error] == ["file.waits"]
    assert len(gate.stored) == 2


async def test_a_folder_that_vanishes_is_told_and_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    gate = Gate()
    async with watching(folder, gate):
        folder.rename(tmp_path / "away")
        await until(lambda: any("can't be read" in error for _, error in told(caplog)), "the sentence")
        (tmp_path / "away").rename(folder)
        (folder / "a.csv").write_text("no\n1\n")
        await until((folder / "done" / "a.csv").exists, "the file's end")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"delimiter": ""}, "one character"),
        ({"delimiter": '"'}, "one character"),
        ({"encoding": "utf-16"}, "utf-16"),
        ({"encoding": "utf-88"}, "utf-88"),
        ({"interface": "mes/2"}, "mes/2"),
        ({"plant": "mars"}, "mars"),
    ],
)
async def test_wrong_settings_are_refused_at_the_start(tmp_path: Path, settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        await edge_over(tmp_path, **settings).start(Gate())


async def test_folders_that_cannot_be_used_are_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="is missing; make it"):
        await edge_over(tmp_path / "none").start(Gate())
    (tmp_path / "done").write_text("a file")
    with pytest.raises(OSError, match="can't be made"):
        await edge_over(tmp_path).start(Gate())
    (tmp_path / "done").unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="can't be read and written"):
        await edge_over(tmp_path).start(Gate())


# --- rows alone -------------------------------------------------------------------------------------------------------------


def rows_of(content: bytes) -> list[Row]:
    return list(read_rows(io.BytesIO(content), ",", "utf-8"))


def test_a_row_too_long_costs_itself_alone() -> None:
    found = rows_of(b"no,part\n1,a\n2," + b"x" * 1_000_000 + b"\n3,c\n")
    assert [row.problem == "" for row in found] == [True, False, True]
    assert "100,000 bytes" in found[1].problem
    assert len(found[1].raw) <= rows.MAX_ROW
    assert found[2].cells == {"no": "3", "part": "c"}


def test_a_quote_never_closed_costs_its_line_alone() -> None:
    content = b'no,part\n1,"a\n' + b"".join(b"%d,b\n" % n for n in range(2, 60_000))
    found = rows_of(content)
    assert [row.number for row in found if row.problem] == [1]
    assert len(found) == 59_999


def test_the_header_is_refused_before_any_row() -> None:
    with pytest.raises(NotCsv):
        next(read_rows(io.BytesIO(b"a,a\n1,2\n"), ",", "utf-8"))


REPORTS = Path(__file__).parents[3] / "shared" / "data" / "4tu" / "production_dev.csv"


@pytest.mark.skipif(not REPORTS.exists(), reason="the real reports are not beside the project (../shared/data/4tu)")
def test_every_real_report_is_read() -> None:
    with REPORTS.open("rb") as file:
        found = list(read_rows(file, ",", "utf-8"))
    assert len(found) == 1_584
    assert [row for row in found if row.problem] == []

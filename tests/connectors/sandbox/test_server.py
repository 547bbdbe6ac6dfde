"""The served sandbox: kill -9, hostile bytes, wrong settings, a damaged journal, and the stub."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.connectors.sandbox.plant import DAY, furnish
from tests.connectors.sandbox.process import Running, launch, sandbox
from tests.connectors.sandbox.test_contract_http import FOLDERS

from synchromesh.connectors.agreement import Connector, FindingState, Grade
from synchromesh.connectors.sandbox import connect
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.faults import Faults
from synchromesh.connectors.sandbox.journal import Journal, JournalError
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.connectors.sandbox.server import Server
from synchromesh.connectors.sandbox.wire import MAX_BODY, Request
from synchromesh.model.event import amount
from synchromesh.model.posting import Fate, Line, Posting, PostingKind


def receipts(*keys: str) -> list[Posting]:
    lines = (Line(item="GEAR", quantity=amount(1, "EA"), location="STORE"),)
    return [Posting(key=key, kind=PostingKind.RECEIPT, plant="north", lane="BIG", effective=DAY, order="BIG", lines=lines) for key in keys]


def furnished(running: Running) -> Running:
    for entry in furnish():
        running.admin(FOLDERS[type(entry)], [entry])
    return running


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with sandbox() as served:
        yield furnished(served)


# --- kill -9 ----------------------------------------------------------------------------------------------------------------


async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    with sandbox("--data", tmp_path, "--delay", "3600") as served:
        furnished(served)
        connector = connect({"url": served.url})
        first = await connector.post(receipts("a", "b"))
        served.admin("faults", {"arm": ["parked"]})
        parked = await connector.post(receipts("c"))
        served.admin("book-by-hand", [{"kind": "adjustment", "effective": DAY, "lines": [Line("BLANK", amount(3, "EA"), "STORE")]}])
        told = served.look("/changes?cursor="), served.look("/balances"), served.look("/documents"), served.look("/orders/BIG")
        await connector.close()
        served.kill()
    assert [reply.fate for reply in [*first, *parked]] == [Fate.POSTED, Fate.POSTED, Fate.PARKED]
    with sandbox("--data", tmp_path) as served:
        assert told == (served.look("/changes?cursor="), served.look("/balances"), served.look("/documents"), served.look("/orders/BIG"))
        connector = connect({"url": served.url})
        again = await connector.post(receipts("a", "b"))
        assert [reply.document for reply in again] == [reply.document for reply in first]
        finding = await connector.find("c")
        assert finding.reply is not None
        assert finding.reply.fate is Fate.PARKED
        assert (await connector.post(receipts("d")))[0].document == "4900000004"
        await connector.close()


async def test_killed_at_any_moment_it_holds_everything_it_answered_and_nothing_twice(tmp_path: Path) -> None:
    answered: set[str] = set()
    ordinal = 0
    for _ in range(3):
        with sandbox("--data", tmp_path) as served:
            furnished(served)
            connector = connect({"url": served.url})

            async def send(connector: Connector = connector, served: Running = served) -> None:
                nonlocal ordinal
                while True:
                    ordinal += 1
                    replies = await connector.post(receipts(*(f"{ordinal}-{each}" for each in range(10))))
                    if replies[0].fate is not Fate.POSTED:
                        assert {reply.fate for reply in replies} <= {Fate.DOUBT, Fate.RETRY}
                        return
                    answered.update(reply.key for reply in replies)
                    if ordinal % 7 == 0:
                        served.process.kill()

            await asyncio.gather(*[send() for _ in range(3)])
            await connector.close()
    with sandbox("--data", tmp_path) as served:
        keys = [document["key"] for document in served.look("/documents")]
    assert len(answered) >= 60
    assert answered <= set(keys)
    assert len(keys) == len(set(keys))
    assert len(keys) % 10 == 0, "a request is durable whole or not at all"


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    with sandbox("--data", tmp_path) as served:
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=20) == 0


def test_a_late_commit_happens_by_itself() -> None:
    """The server wakes up for what is due; the answer of the last question shows it."""
    with sandbox("--delay", "0.05") as served:
        furnished(served)
        served.admin("faults", {"arm": ["late"]})
        with pytest.raises(ConnectionError):
            served.send("/postings", receipts("late"))
        while not served.look("/admin/keys/late"):
            pass
        assert served.look("/count")["documents"] == 1


# --- the journal ------------------------------------------------------------------------------------------------------------


def refused_start(*arguments: object) -> str:
    process = launch(*arguments)
    out, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert out == ""
    assert "Traceback" not in err
    return err


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "books.sqlite").write_bytes(b"this is no database" * 1000)
    assert "books.sqlite can't be opened" in refused_start("--data", tmp_path)


def test_a_damaged_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    journal = Journal(path, Rules())
    for entry in furnish():
        journal.note(entry, datetime(2026, 6, 15, tzinfo=UTC))
    journal.commit()
    journal._connection.execute("INSERT INTO entries (body) VALUES (x'5b5b')")
    journal.close()
    assert "row 2" in refused_start("--data", tmp_path)


def test_other_rules_for_the_same_books_are_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "books.sqlite", Rules()).close()
    assert "was begun with other rules" in refused_start("--data", tmp_path, "--grade", "blind")


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "can't be opened" in refused_start("--data", tmp_path / "file" / "below")


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "in use" in refused_start("--port", taken.getsockname()[1])


@pytest.mark.parametrize("arguments", [("--rates", "lots=1"), ("--rates", "lost=x"), ("--rates", "lost=2"), ("--tolerance", "-1")])
def test_wrong_arguments_are_refused(arguments: tuple[str, str]) -> None:
    assert arguments[0].strip("-") in refused_start(*arguments)


def test_a_journal_that_cannot_be_written_silences_the_server(tmp_path: Path) -> None:
    """What is not on disk is not answered: the connection breaks, and the process gives its memory up."""

    class Full(Journal):
        def commit(self) -> None:
            raise JournalError("the disk is full")

    crashes: list[JournalError] = []
    server = Server(Books(), Faults(), journal=Full(tmp_path / "books.sqlite", Rules()), crash=crashes.append)
    body = msgspec.json.encode([{"item": "X", "unit": "EA"}])
    answer = server.respond(Request("POST", ("admin", "items"), {}, {}, body))
    assert answer.hang_up
    assert [str(crash) for crash in crashes] == ["the disk is full"]


# --- hostile bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"key": "k"}',
        b'[{"key": 1}]',
        b'["\xff"]',
        b"[" * 100_000,
        json.dumps([{"key": "k", "kind": "receipt", "plant": "p", "lane": "l", "effective": "2026-02-30"}]).encode(),
        msgspec.json.encode(receipts("k")).replace(b'"amount":"1"', b'"amount":"NaN"'),
        msgspec.json.encode(receipts("k")).replace(b'"amount":"1"', b'"amount":"1e400"'),
        msgspec.json.encode(receipts(*("k" * 1001))),
    ],
)
def test_bad_bodies_get_a_problem(running: Running, body: bytes) -> None:
    before = running.look("/count")
    status, told = running.send("/postings", body)
    assert (status, told["status"]) == (400, 400)
    assert len(told["detail"]) > 10
    assert running.look("/count") == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/documents/1", 404),
        ("DELETE", "/postings", 405),
        ("POST", "/admin/nothing", 404),
        ("GET", "/changes?cursor=999999", 400),
        ("GET", "/" + "x" * 70_000, 431),
    ],
)
def test_wrong_questions_get_a_problem(running: Running, method: str, path: str, status: int) -> None:
    got, told = running.send(path, b"{}" if method == "POST" else None, method)
    assert (got, told["status"]) == (status, status)


def test_refused_master_data_says_how_far_it_came(running: Running) -> None:
    entries = [
        {"item": "GEAR", "location": "LINE", "quantity": amount(1, "EA")},
        {"item": "?", "location": "LINE", "quantity": amount(1, "EA")},
    ]
    status, told = running.send("/admin/stock", entries)
    assert (status, told["entered"], told["refusal"]["category"]) == (422, 1, "unknown item")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_10_mb_is_refused_and_heard(running: Running, chunked: bool) -> None:
    size = 10 * 2**20
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as connection:
        length = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size
        connection.sendall(b"POST /postings HTTP/1.1\r\nhost: x\r\n" + length + b"\r\n\r\n")
        connection.sendall((b"%x\r\n" % size if chunked else b"") + b" " * size)
        connection.shutdown(socket.SHUT_WR)
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    assert told.startswith(b"HTTP/1.1 413 ")
    assert str(MAX_BODY).encode() in told


def raw(running: Running, sent: bytes) -> bytes:
    """Everything that the server says until it closes."""
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_what_is_not_http_is_refused(running: Running) -> None:
    assert raw(running, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_requests_of_one_connection_are_answered_in_order(running: Running) -> None:
    two = b"GET /count HTTP/1.1\r\nhost: x\r\n\r\nGET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
    told = raw(running, two)
    assert told.index(b"200 OK") < told.index(b"404 Not Found")


# --- the connector ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "'url'"),
        ({"urll": "http://127.0.0.1:1"}, "did you mean 'url'"),
        ({"url": "http://127.0.0.1:1", "colour": 1}, "there are url, grade"),
        ({"url": "ftp://127.0.0.1"}, "url"),
        ({"url": "http://127.0.0.1:99999"}, "no address"),
        ({"url": "http://127.0.0.1:1", "grade": "best"}, "grade"),
        ({"url": "http://127.0.0.1:1", "batch": 0}, "batch"),
        ({"url": "http://127.0.0.1:1", "batch": "many"}, "batch"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        connect(settings)


async def test_another_grade_than_the_servers_books_nothing(running: Running) -> None:
    connector = connect({"url": running.url, "grade": Grade.ASKABLE.value})
    (reply,) = await connector.post(receipts("graded"))
    await connector.close()
    assert reply.fate is Fate.RETRY
    assert reply.refusal is not None
    assert 'grade = "unique"' in reply.refusal.detail
    assert running.look("/admin/keys/graded") == []


async def test_one_unreadable_posting_does_not_hold_up_its_batch(running: Running) -> None:
    connector = connect({"url": running.url})
    bad = msgspec.structs.replace(receipts("unreadable")[0], effective="yesterday")
    replies = await connector.post([*receipts("r1", "r2"), bad, *receipts("r3")])
    await connector.close()
    assert [reply.fate for reply in replies] == [Fate.POSTED, Fate.POSTED, Fate.REJECTED, Fate.POSTED]


async def test_links_lead_to_the_document(running: Running) -> None:
    connector = connect({"url": running.url})
    (reply,) = await connector.post(receipts("a/b c?%"))
    finding = await connector.find("a/b c?%")
    await connector.close()
    assert finding.reply == reply
    assert running.look(urlsplit(reply.link).path)["number"] == reply.document


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", Fate.DOUBT),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff{]", Fate.DOUBT),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[", Fate.DOUBT),
        (b"SSH-2.0\r\n\r\n", Fate.DOUBT),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Fate.DOUBT),
        (b"HTTP/1.1 504 Oh\r\ncontent-length: 0\r\n\r\n", Fate.DOUBT),
        (b"HTTP/1.1 503 Oh\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", Fate.RETRY),
        (b"HTTP/1.1 404 Oh\r\ncontent-length: 4\r\n\r\nnope", Fate.RETRY),
        (b"HTTP/1.1 400 Oh\r\ncontent-length: 4\r\n\r\nnope", Fate.REJECTED),
        (b"", Fate.DOUBT),
    ],
)
async def test_what_other_answers_mean(answer: bytes, fate: Fate) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    connector = connect({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    (told,) = await connector.post(receipts("k"))
    await connector.close()
    server.close()
    assert told.fate is fate
    assert told.refusal is not None
    assert told.retry_after == (7.0 if b"503" in answer else None)


async def test_a_system_that_hangs_is_doubt() -> None:
    release = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    connector = connect({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "timeout_seconds": 0.1})
    (told,) = await connector.post(receipts("k"))
    release.set()
    await connector.close()
    server.close()
    assert told.fate is Fate.DOUBT


async def test_the_stub_counts() -> None:
    with sandbox("--stub") as served:
        connector = connect({"url": served.url})
        one = await connector.post(receipts("a", "b"))
        two = await connector.post(receipts("b"))
        assert [reply.document for reply in one] == ["4900000001", "4900000002"]
        assert two[0].document == "4900000002"
        assert (await connector.find("a")).state is FindingState.BOOKED
        assert (await connector.find("z")).state is FindingState.ABSENT
        assert list((await connector.pull("")).changes) == []
        assert await connector.balances() == []
        await connector.close()
        assert served.look("/count") == {"documents": 2, "requests": 2, "repeats": 1}
        assert served.send("/postings", b"[{}]")[0] == 400


def test_a_slow_answer_comes_late_and_whole() -> None:
    with sandbox("--slow", "0.01") as served:
        furnished(served)
        served.admin("faults", {"arm": ["slow"]})
        status, told = served.send("/postings", receipts("slow"))
        assert (status, told[0]["fate"]) == (200, "posted")

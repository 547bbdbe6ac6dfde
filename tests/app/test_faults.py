"""What bad input gets, from a user's side: an answer that says what, where and what to do; nothing accepted is lost, nothing half done.

`docs/reference/refusals.md` lists every kind with the tests of the parts.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from tests.app.installation import ROLES, Installation, Serve, command, free_port, installation, report, until

EVENTS = "/v1/plants/oslo/events"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Serve]]:
    """An installation whose ERP knows the orders 4711 and 4712, and whose plant told one good fact before all bad ones."""
    with installation(tmp_path_factory.mktemp("plant")) as made:
        made.release("4711", "4712")
        serve = made.serve()
        assert serve.send(f"{EVENTS}?wait=30", report("good", "4711"))[0] == 200
        yield made, serve


def changed(**changes: object) -> dict[str, object]:
    """A good report but for these of its fields; None takes one away."""
    fact = report("bad", "4711")
    return {name: value for name, value in (fact | changes).items() if value is not None}


def told(**data: object) -> dict[str, object]:
    """A good report but for these of its data."""
    fact = report("bad", "4711")
    return fact | {"data": {"order": "4711", "good": {"amount": "1", "unit": "EA"}} | data}


TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("body", "status", "where", "word"),
    [
        (told(colour="red"), 422, "/data", "colour"),
        (changed(colour="red"), 422, "", "colour"),
        (changed(type="production.reportet"), 422, "/type", "did you mean production.reported"),
        (told(order=4711), 422, "/data/order", "expected"),
        (told(good="9"), 422, "/data/good", "expected"),
        (told(good={"amount": "9"}), 422, "/data/good", "unit"),
        (told(good={"amount": "nine", "unit": "EA"}), 422, "/data/good", "amount"),
        (told(good={"amount": "-1", "unit": "EA"}), 422, "/data/good/amount", "negative"),
        (told(good={"amount": "1E+40", "unit": "EA"}), 422, "/data/good", ""),
        (told(good={"amount": "NaN", "unit": "EA"}), 422, "/data/good", ""),
        (told(labour_seconds=10**12), 422, "/data/labour_seconds", "more than a year"),
        (changed(time="2026-03-01T08:00:00"), 422, "/time", "offset"),
        (changed(time="yesterday"), 422, "/time", "offset"),
        (changed(time=TOMORROW), 422, "/time", "future"),
        (changed(id=None), 422, "", "id"),
        (b'{"id": "\xff"}', 400, "", "UTF-8"),
        (b"{", 400, "", "JSON"),
        (b"[" * 100_000, 400, "", ""),
        (b"x" * 10_000_000, 413, "", "1,000,000"),
    ],
)
def test_a_refusal_says_what_and_where_and_stores_nothing(
    plant: tuple[Installation, Serve], body: object, status: int, where: str, word: str
) -> None:
    _, serve = plant
    before = serve.look("/v1/summary")["facts"]
    answered, problem = serve.send(EVENTS, body)
    assert (answered, problem["status"]) == (status, status), problem
    assert problem["detail"]
    assert problem["type"].startswith("urn:synchromesh:problem:")
    if status == 422:
        (fault,) = problem["errors"]
        assert fault["pointer"].startswith(where)
        assert fault["remedy"]
    assert word.lower() in json.dumps(problem).lower()
    assert serve.stories("bad") == []
    assert serve.look("/v1/summary")["facts"] == before


def test_a_batch_with_one_bad_event_is_stored_not_at_all(plant: tuple[Installation, Serve]) -> None:
    _, serve = plant
    batch = [report("half-1", "4711"), changed(time="yesterday"), report("half-2", "4711")]
    status, problem = serve.send(EVENTS, batch)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/1/time")
    assert serve.stories("half-1") == serve.stories("half-2") == []


def test_an_item_that_erp_does_not_know_is_waited_for_by_name_and_holds_up_nothing_else(plant: tuple[Installation, Serve]) -> None:
    _, serve = plant
    unknown = report("unknown-item", "4712") | {"type": "production.material.consumed"}
    unknown["data"] = {"order": "4712", "item": "BOLT", "quantity": {"amount": "1", "unit": "EA"}}
    serve.tell(unknown)
    assert serve.send(f"{EVENTS}?wait=30", report("beside", "4712"))[0] == 200
    (story,) = until(lambda: serve.stories("unknown-item"), "the fact that waits")
    assert (story["fact"]["fate"], story["fact"]["reference"]) == ("waiting", "item BOLT")


def test_an_absurd_amount_that_can_be_told_is_not_sent_before_there_is_stock(plant: tuple[Installation, Serve]) -> None:
    """Nobody but ERP knows whether there can be so much: the issue waits in words, and ERP is asked when patience ends."""
    _, serve = plant
    absurd = report("absurd", "4711") | {"type": "production.material.consumed"}
    absurd["data"] = {"order": "4711", "item": "GEAR", "quantity": {"amount": "99999999999", "unit": "EA"}, "location": "RM"}
    serve.tell(absurd)
    (story,) = until(lambda: serve.stories("absurd"), "the fact")
    (posting,) = story["postings"]
    assert (story["fact"]["fate"], posting["kind"], posting["state"]) == ("booking", "issue", "waiting")
    assert "stock" in posting["waits_for"]


# --- files and addresses -------------------------------------------------------------------------------------------------


LEAST = """\
[synchromesh]
data = "data"
[http]
port = 0
[[plant]]
id = "oslo"
zone = "Europe/Oslo"
erp = "main"
[erp.main]
connector = "sandbox"
url = "http://127.0.0.1:1"
"""


def in_words(answer: Any, code: int) -> str:
    """A refusal to start: its exit code, words for a user, no traceback."""
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""
    assert answer.stderr.startswith("synchromesh: ")
    return str(answer.stderr)


def test_a_port_in_use_is_named_and_nothing_stays_running(tmp_path: Path) -> None:
    with installation(tmp_path) as made, socket.create_server(("127.0.0.1", 0)) as other:
        made.port = other.getsockname()[1]
        made.configure()
        serve = made.begin()
        assert serve.wait() == 2
        assert f"synchromesh: port {made.port} on 127.0.0.1 is in use; stop the program that listens there" in serve.said
        assert "Traceback" not in serve.said
        assert serve.roles() == {}


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("zone =", "zoen =", "did you mean 'zone'?"),
        ('connector = "sandbox"', 'connector = "sandbocks"', "did you mean 'sandbox'?"),
        ("url =", "ulr =", "did you mean 'url'?"),
        ('erp = "main"', 'erp = "main"\nadapters = ["nowhere"]', "nowhere"),
        ('erp = "main"', 'erp = "main"\n[[plant.files]]\nfolder = "nowhere"\ninterface = "mes/1"', "there is no folder 'nowhere'; make it"),
        ('erp = "main"', 'erp = "main"\n[[plant.files]]\nfolder = "."\ninterface = "mes/1"', "mes/1"),
        ('data = "data"', 'data = "synchromesh.toml"', "synchromesh.toml"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_before_anything_starts(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    config = tmp_path / "synchromesh.toml"
    assert right in LEAST
    config.write_text(LEAST.replace(right, wrong), "utf-8")
    assert said in in_words(command("serve", "--config", config), 2)


@pytest.mark.parametrize("name", ["log.db", "state.db"])
@pytest.mark.parametrize("verb", ["serve", "trace", "verify"])
def test_a_damaged_database_is_named_and_left_alone(stopped: Path, name: str, verb: str) -> None:
    file = stopped / "data" / name
    good = file.read_bytes()
    bad = b"no database at all".ljust(4096, b"!") + good[4096:]
    file.write_bytes(bad)
    try:
        query = ("r-1",) if verb == "trace" else ()
        said = in_words(command(verb, *query, "--config", stopped / "synchromesh.toml"), 3)
        assert f"{name} is damaged" in said
        assert "put the last snapshot or backup in its place" in said
        assert file.read_bytes() == bad
    finally:
        file.write_bytes(good)


def test_damaged_claims_are_named_once_with_what_to_do_before_anything_starts(stopped: Path) -> None:
    file = stopped / "data" / "state.claims"
    good = file.read_bytes()
    file.write_bytes(b"no database at all")
    try:
        said = in_words(command("serve", "--config", stopped / "synchromesh.toml"), 3)
        assert said.count("state.claims is damaged") == 1
        assert "move the file away" in said
    finally:
        file.write_bytes(good)


def test_a_log_that_is_missing_or_older_than_the_state_is_refused(stopped: Path) -> None:
    """What it would be told from then on would stand where the state has been already, and never be folded."""
    file = stopped / "data" / "log.db"
    good = file.read_bytes()
    file.unlink()
    try:
        said = in_words(command("serve", "--config", stopped / "synchromesh.toml"), 3)
        assert "the log is missing" in said
        assert "put back the log that belongs to this state" in said
        file.write_bytes(good)
        with closing(sqlite3.connect(file)) as older, older:
            older.execute("DELETE FROM message WHERE at = (SELECT max(at) FROM message)")
        said = in_words(command("serve", "--config", stopped / "synchromesh.toml"), 3)
        assert "put back log and archive" in said
    finally:
        file.write_bytes(good)


@pytest.mark.parametrize(("verb", "code"), [("serve", 2), ("trace x", 3), ("verify", 3)])
def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path, verb: str, code: int) -> None:
    config = tmp_path / "synchromesh.toml"
    config.write_text(LEAST.replace('"data"', '"/proc/nowhere"'), "utf-8")
    assert "/proc/nowhere: No such file" in in_words(command(*verb.split(), "--config", config), code)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installation that has booked a fact and was stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    with installation(folder) as made:
        made.release("4711")
        serve = made.serve()
        assert serve.send(f"{EVENTS}?wait=30", report("r-1", "4711"))[0] == 200
        assert serve.end() == 0
    return folder


def test_a_lost_state_is_made_again_from_the_log_and_books_nothing_twice(tmp_path: Path) -> None:
    """Its claims are lost with it: of all that the log makes ready again, nobody knows any more what was sent."""
    with installation(tmp_path) as made:
        made.release("4711")
        serve = made.serve()
        serve.tell([report(f"r-{n}", "4711") for n in range(50)])
        made.settled(serve, 50)
        assert serve.end() == 0
        for file in (tmp_path / "data").glob("state.*"):
            file.unlink()
        serve = made.serve()
        serve.tell(report("after", "4711"))
        assert made.settled(serve, 51)["fates"] == {"booked": 51}
        assert len(made.documents("4711")) == 51
        made.verified()


def test_a_full_disk_refuses_and_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        made.release("4711")
        serve = made.serve()
        facts = [report(f"r-{n}", "4711", reason="x" * 1_000) for n in range(200)]
        serve.tell(facts[:100])
        room_for(serve, 4096)  # in the midst of the work on what was accepted
        for fact in facts[100:110]:
            status, problem = serve.send(EVENTS, fact)
            assert (status, problem["status"]) == (507, 507), problem
            assert "free space on this disk" in problem["detail"]
        with pytest.raises(HTTPError) as refused:
            serve.look("/v1/health/ready")
        assert refused.value.code == 503
        assert b"no room" in refused.value.read()
        assert set(serve.roles()) == set(ROLES), "nobody ends of it"
        room_for(serve, resource.RLIM_INFINITY)
        for fact in facts[100:]:
            serve.tell(fact)
        summary = made.settled(serve, 200)
        assert summary["fates"] == {"booked": 200}, serve.said
        assert len(made.documents("4711")) == 200
        made.verified()
        assert "Traceback" not in serve.said


def test_a_role_that_ends_while_the_disk_is_full_comes_back_with_room(tmp_path: Path) -> None:
    """Every role dies; none can start, and the installation goes on trying until there is room."""
    with installation(tmp_path) as made:
        made.port = free_port()
        made.configure()
        made.release("4711")
        serve = made.serve()
        facts = [report(f"r-{n}", "4711") for n in range(20)]
        serve.tell(facts[:10])
        limit(serve.process.pid, 4096)
        room_for(serve, 4096)
        for process in serve.roles().values():
            os.kill(process, signal.SIGKILL)
        until(lambda: serve.said.count("role.ended") >= len(ROLES) + 3, "tries in vain")
        assert "no room to write" in serve.said
        assert serve.process.poll() is None
        limit(serve.process.pid, resource.RLIM_INFINITY)
        room_for(serve, resource.RLIM_INFINITY)
        serve.tell(facts)
        assert made.settled(serve, 20)["fates"]["booked"] == 20, serve.said
        assert len(made.documents("4711")) == 20
        made.verified()
        assert "Traceback" not in serve.said


def test_a_first_start_on_a_full_disk_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "synchromesh.toml"
    config.write_text(LEAST, "utf-8")
    words = [sys.executable, "-m", "synchromesh.cli", "serve", "--config", str(config)]
    small = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    answer = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, preexec_fn=small)
    said = in_words(answer, 4)
    assert "no room to write" in said
    assert "free space on this disk" in said


@pytest.mark.parametrize("room", [True, False])
def test_a_start_on_a_full_disk_says_so_and_waits_for_room(tmp_path: Path, room: bool) -> None:
    with installation(tmp_path) as made:
        made.release("4711")
        first = made.serve()
        first.tell(report("before", "4711"))
        assert first.end() == 0
        serve = made.begin()
        limit(serve.process.pid, 4096)
        until(lambda: "store.full" in serve.said, "a word about it")
        assert serve.roles() == {}
        if room:
            limit(serve.process.pid, resource.RLIM_INFINITY)
            serve.ready()
            assert serve.send(f"{EVENTS}?wait=30", report("after", "4711"))[0] == 200
            assert "store.back" in serve.said
            assert len(made.documents("4711")) == 2
        assert serve.end() == 0
        assert serve.said.count("store.full") == 1
        assert "Traceback" not in serve.said


def room_for(serve: Serve, size: int) -> None:
    """No file may grow beyond this size: what a full disk does, to this installation alone."""
    for process in serve.roles().values():
        limit(process, size)


def limit(process: int, size: int) -> None:
    """As `room_for`, for one process and those that it starts."""
    with suppress(ProcessLookupError):  # it has ended just now
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

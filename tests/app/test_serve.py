"""`synchromesh serve` as a user has it: real processes, facts in, documents out, one truth on every way of asking, clean ends."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.app.installation import ROLES, ROOT, Installation, Serve, command, gone, installation, report, until

EVENTS = "/v1/plants/oslo/events"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Serve]]:
    """One installation that the tests of this file share; each has orders of its own."""
    folder = tmp_path_factory.mktemp("plant")
    shutil.copytree(ROOT / "examples" / "two-plants", folder / "adapters")
    (folder / "drop").mkdir()
    files = 'adapters = ["adapters/lyon"]\n[[plant.files]]\nfolder = "drop"\ninterface = "lyon-atelier/1"\ndelimiter = ";"\n'
    with installation(folder, files) as made:
        made.release("4711", "4712", "4713", "4714", "OF-1", "OF-2")
        yield made, made.serve()


def test_a_fact_goes_in_and_its_document_comes_out_while_the_caller_waits(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    status, told = serve.send(f"{EVENTS}?wait=30", report("r-1", "4711", "9"))
    assert status == 200, told
    (accepted,) = told["accepted"]
    assert accepted["fact"]["fate"] == "booked"
    (document,) = made.documents("4711")
    assert [one["number"] for one in accepted["fact"]["documents"]] == [document["number"]]
    assert (document["kind"], document["lines"][0]["quantity"]) == ("receipt", {"amount": "9", "unit": "EA"})


def test_the_same_again_is_accepted_again_and_booked_once(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    fact = report("twice", "4712", "3")
    for fate in ("booked", "duplicate"):
        status, told = serve.send(f"{EVENTS}?wait=30", fact)
        assert (status, told["accepted"][0]["fact"]["fate"]) == (200, fate)
    assert len(made.documents("4712")) == 1


def test_a_batch_is_answered_in_its_order_and_each_fact_is_booked(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    status, told = serve.send(f"{EVENTS}?wait=30", [report(f"b-{n}", "4713", str(n)) for n in range(1, 21)])
    assert status == 200
    assert [each["id"] for each in told["accepted"]] == [f"b-{n}" for n in range(1, 21)]
    assert sorted(int(one["lines"][0]["quantity"]["amount"]) for one in made.documents("4713")) == list(range(1, 21))


def test_a_new_data_folder_books_anew_in_an_erp_that_remembers_the_old_one(tmp_path: Path) -> None:
    """Its messages stand at positions that the old log had too: their postings must not be taken for those that are booked."""
    with installation(tmp_path) as made:
        made.release("4711")
        for times in (1, 2):
            serve = made.serve()
            status, told = serve.send(f"{EVENTS}?wait=30", report("r-1", "4711", "9"))
            assert (status, told["accepted"][0]["fact"]["fate"]) == (200, "booked")
            assert len(made.documents("4711")) == times
            key = serve.stories("r-1")[0]["postings"][0]["key"]
            assert serve.trace(key)["stories"], "a fact is found by its posting's key"
            assert serve.end() == 0
            shutil.rmtree(tmp_path / "data")


def test_a_restored_folder_takes_no_document_for_its_own_that_was_booked_since(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        made.release("4711")
        serve = made.serve()
        serve.tell(report("before", "4711"))
        made.settled(serve, 1)
        assert serve.end() == 0
        shutil.copytree(tmp_path / "data", tmp_path / "backup", ignore=shutil.ignore_patterns("state.claims*"))
        for id, folder in (("lost", None), ("after", tmp_path / "backup")):
            if folder is not None:
                shutil.rmtree(tmp_path / "data")
                folder.rename(tmp_path / "data")
            serve = made.serve()
            status, told = serve.send(f"{EVENTS}?wait=30", report(id, "4711"))
            assert (status, told["accepted"][0]["fact"]["fate"]) == (200, "booked")
            assert serve.end() == 0
        assert len(made.documents("4711")) == 3
        made.verified()


def test_an_erp_that_does_not_answer_is_shown_and_told_until_it_does(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        made.release("4711")
        serve = made.serve()
        assert serve.look("/v1/summary")["systems"] == [{"name": "main", "grade": "unique"}]
        made.erp.kill()
        until(lambda: [one for one in serve.look("/v1/summary")["systems"] if one.get("reachable") is False], "the silence")
        with urlopen(serve.address + "/metrics", timeout=30) as answer:
            assert b'synchromesh_system_reachable{system="main",grade="unique"} 0' in answer.read()
        with made.erp_again():
            until(lambda: "reachable" not in serve.look("/v1/summary")["systems"][0], "its return")
        assert serve.end() == 0
        lines = [json.loads(line)["line"] for line in serve.said.splitlines()]
        assert lines == ["process.started", "process.ready", "system.lost", "system.back", "process.stopping", "process.stopped"]


def test_every_way_of_asking_tells_the_same(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    status, told = serve.send(f"{EVENTS}?wait=30", report("asked", "4714", "5", lot="L-9"))
    assert status == 200
    number = told["accepted"][0]["fact"]["documents"][0]["number"]
    for query, word in (("4714", "order"), ("L-9", "lot"), ("asked", "message"), (number, "document")):
        shown = serve.trace(query)
        assert shown["matched"] == [word]
        (story,) = shown["stories"]
        assert story["fact"]["id"] == "asked"
        assert story["postings"][0]["document"]["number"] == number
        answer = made.command("trace", query, "--json")
        assert (answer.returncode, json.loads(answer.stdout)) == (0, shown)


def test_a_fact_about_an_order_that_erp_does_not_know_is_found_by_it_and_goes_on_when_it_comes(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    serve.tell(report("early", "LATE-1", "2"))
    waiting = until(lambda: serve.stories("LATE-1"), "the fact that waits")
    assert [(story["fact"]["fate"], story["fact"]["reference"]) for story in waiting] == [("waiting", "order LATE-1")]
    assert "waiting" in made.command("trace", "LATE-1").stdout
    made.release("LATE-1")
    until(lambda: serve.stories("LATE-1")[0]["fact"]["fate"] == "booked", "the document")
    assert len(made.documents("LATE-1")) == 1


def test_what_nobody_knows_is_not_found_and_says_so(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    assert serve.stories("never heard of") == []
    answer = made.command("trace", "never heard of")
    assert answer.returncode == 1
    assert "Nothing is known of" in answer.stdout


def test_a_file_in_the_drop_folder_becomes_documents_through_its_adapter(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    drop = made.folder / "drop"
    (drop / "night.csv.part").write_text(rows_of_lyon(("9001", "OF-1", "12"), ("9002", "OF-2", "7")), "utf-8")
    (drop / "night.csv.part").rename(drop / "night.csv")
    until((drop / "done" / "night.csv").exists, "the file in done")
    until(lambda: booked(serve.stories("OF-1")) and booked(serve.stories("OF-2")), "the documents")
    receipts = [one for one in made.documents("OF-1") + made.documents("OF-2") if one["kind"] == "receipt"]
    assert sorted((one["order"], one["lines"][0]["quantity"]["amount"]) for one in receipts) == [("OF-1", "12"), ("OF-2", "7")]


def booked(stories: list[Any]) -> bool:
    return bool(stories) and all(story["fact"]["fate"] == "booked" for story in stories)


def rows_of_lyon(*rows: tuple[str, str, str]) -> str:
    """A file in the words of the example: number, order and good pieces of each row."""
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%d/%m/%Y} 12:00:00"
    lines = [f"T4;{number};P;{order};Tournage;{good};;pce;;;1,5;{yesterday}" for number, order, good in rows]
    return "\n".join(["Machine;No;Type;OF;Gamme;Bon;Rebut;Unité;Lot;Motif;Minutes;Fin", *lines, ""])


def test_verify_beside_the_running_system_says_that_the_state_is_what_the_log_makes_of_it(plant: tuple[Installation, Serve]) -> None:
    made, _ = plant
    made.verified()


def test_a_second_serve_on_the_folder_is_refused_by_name(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    for arguments in ((), ("--role", "worker")):
        answer = command("serve", "--config", made.config, *arguments)
        assert answer.returncode == 2
        assert answer.stderr.startswith("synchromesh: another synchromesh serve runs on the data folder")
        assert str(made.folder / "data") in answer.stderr
        assert answer.stderr.count("\n") == 1
    assert set(serve.roles()) == set(ROLES), "the first one is not disturbed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_the_next_start_is_quick_and_knows_everything(tmp_path: Path, number: int) -> None:
    with installation(tmp_path) as made:
        made.release("4711")
        first = made.serve()
        assert first.send(f"{EVENTS}?wait=30", report("r-1", "4711"))[0] == 200
        roles = first.roles()
        assert set(roles) == set(ROLES)
        assert first.end(number) == 0
        assert [role for role, process in roles.items() if not gone(process)] == []
        assert "Traceback" not in first.said
        second = made.begin()
        assert second.ready() < 15, "seconds; 3 on a machine with nothing else to do"
        assert second.stories("r-1")[0]["fact"]["fate"] == "booked"
        status, told = second.send(f"{EVENTS}?wait=30", report("r-1", "4711"))
        assert len(made.documents("4711")) == 1, told
        assert status == 200


def test_it_can_be_ended_before_it_is_ready(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        serve = made.begin()
        until(serve.roles, "the first role")
        assert serve.end() == 0
        assert serve.roles() == {}
        assert "Traceback" not in serve.said

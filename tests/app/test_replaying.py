"""Replay, rehearsal, verification and why over an installation on disk: by command line and HTTP, with a trimmed log, with bad input."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec
import pytest
from tests.app.installation import until
from tests.app.test_faults import LEAST
from tests.console.conftest import served
from tests.mapping import world as mapping

from synchromesh.app.jobs import LongWorks
from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.cli import run
from synchromesh.console.page import create_page
from synchromesh.console.replay import replay_routes
from synchromesh.engine.inquiry import Inquiry
from synchromesh.engine.why import Asking
from synchromesh.engine.worker import Worker
from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message
from synchromesh.plant.entities import Totals
from synchromesh.state.agreement import Reading

PLANT = "oslo"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEAD = mapping.HEAD.replace('"7d"', '"3650d"')
STRICT = mapping.REPORT.replace("row.good", "row.pieces")
_encode = msgspec.json.Encoder(decimal_format="string").encode


class Site:
    """One data folder with an adapter for machines, whose worker works when it is told to."""

    def __init__(self, folder: Path, rest: str) -> None:
        self.folder = folder
        self.config = folder / "synchromesh.toml"
        self.adapt(rest)

    def adapt(self, rest: str) -> None:
        """From now on this adapter decides."""
        mapping.write(self.folder / "adapter", f'{HEAD}format = "json"\n{rest}')
        text = LEAST.replace('erp = "main"', 'erp = "main"\nadapters = ["adapter"]')
        self.config.write_text(text, "utf-8")
        prepare(self.settings)
        self.fold()

    @property
    def settings(self) -> Settings:
        return read_settings(self.config)

    def fold(self) -> None:
        stores = Stores(self.settings)
        log, state = stores.log(), stores.state()
        worker = Worker(log, state, [PLANT], "worker", now=lambda: datetime.now(UTC))
        while worker.step():
            pass
        state.close()
        log.close()

    def append(self, *messages: Message) -> list[int]:
        log = Stores(self.settings).log()
        positions = log.append(messages)
        log.close()
        self.fold()
        return positions

    def master(self) -> None:
        events = (
            ev.LocationChanged("FG"),
            ev.ItemChanged("GEAR", "EA"),
            ev.OrderChanged("4711", "GEAR", ev.amount(100, "EA"), location="FG"),
        )
        self.append(*(Message(PLANT, "erp", f"e{n}", NATIVE, NOON, _encode(event), occurred=NOON) for n, event in enumerate(events)))

    def machine(self, id: str = "m1", hour: int = 0) -> int:
        body = json.dumps({"id": id, "order": "4711", "good": 8, "unit": "EA"}).encode()
        at = NOON + timedelta(hours=hour)
        return self.append(Message(PLANT, "mes", id, "demo/1", at, body, occurred=at))[0]

    def head(self) -> int:
        log = Stores(self.settings).log()
        head = log.head()[PLANT]
        log.close()
        return head

    def trim(self, through: int) -> None:
        log = Stores(self.settings).log()
        log.trim(PLANT, through)
        log.close()

    def fates(self) -> dict[str, int]:
        reading = Stores(self.settings).reading()
        value = reading.entities(PLANT, [("totals", "")])["totals", ""]
        reading.close()
        return {fate: count for fate, count in msgspec.msgpack.decode(value, type=Totals).fates.items() if count}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path, STRICT)
    site.master()
    return site


class Said:
    """What a command said, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def say(site: Site, capsys: pytest.CaptureFixture[str]) -> Any:
    def say(*words: object) -> Said:
        capsys.readouterr()
        code = run([*map(str, words), "--config", str(site.config)])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return say


# --- the command line ---------------------------------------------------------------------------------------------------------


def test_a_refused_message_is_replayed_by_its_id_dry_and_then_truly(site: Site, say: Any) -> None:
    site.machine()
    site.adapt(mapping.REPORT)
    head = site.head()
    dry = say("replay", PLANT, "--message", "m1", "--dry-run", "--json")
    assert (dry.code, dry.json["courses"]["told anew"], dry.json["preview"]["made"]["count"]) == (0, 1, 1)
    assert site.head() == head
    done = say("replay", PLANT, "--message", "m1", "--by", "ann", "--reason", "the scale", "--json")
    assert (done.code, done.json["decided"]) == (0, 1)
    site.fold()
    assert site.fates() == {"booking": 1}
    again = say("replay", PLANT, "--message", "m1", "--by", "ann", "--reason", "the scale")
    assert (again.code, "nothing to change" in again.out) == (0, True)
    audit = say("exceptions", "audit", "--json").json
    assert [(each["verb"], each["by"], each["came_of"]) for each in audit] == [("replay", "ann", "done")]


@pytest.mark.parametrize(
    "words",
    [
        ("--interface", "demo/1"),
        ("--since", "2026-03-02T13:00Z", "--until", "2026-03-02T13:00"),
        ("--category", "invalid", "--subject", "field pieces of interface demo/1"),
        ("--first", "LAST", "--last", "LAST"),
        ("--position", "LAST"),
    ],
)
def test_each_way_to_select_finds_the_message(site: Site, say: Any, words: tuple[str, ...]) -> None:
    at = site.machine(hour=1)
    site.adapt(mapping.REPORT)
    said = [str(at) if word == "LAST" else word for word in words]
    found = say("replay", PLANT, *said, "--dry-run", "--json")
    assert found.code == 0, found.err
    assert (found.json["messages"], [each["position"] for each in found.json["changing"]["first"]]) == (1, [at])


def test_what_was_trimmed_is_read_from_the_archive(site: Site, say: Any) -> None:
    at = site.machine()
    site.adapt(mapping.REPORT)
    site.machine("m2")
    site.trim(at)
    assert say("replay", PLANT, "--position", at, "--dry-run", "--json").json["courses"]["told anew"] == 1
    rehearsed = say("replay", PLANT, "--position", at, "--sandbox", "--json")
    assert (rehearsed.code, rehearsed.json["made"]["count"]) == (0, 1)


def test_a_range_whose_messages_are_gone_is_a_clear_error_and_changes_nothing(site: Site, say: Any) -> None:
    at = site.machine()
    site.adapt(mapping.REPORT)
    site.trim(at)
    for file in (site.folder / "data" / "archive").rglob("*.gz"):
        file.unlink()
    head = site.head()
    for words in (("--by", "ann", "--reason", "x"), ("--dry-run",), ("--sandbox",)):
        gone = say("replay", PLANT, "--position", at, *words)
        assert (gone.code, gone.out) == (3, "")
        assert "archive" in gone.err
    assert site.head() == head


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bergen", "--position", "1"), "there is no plant 'bergen'; the plants are oslo"),
        (("enterprise", "--position", "1"), "there is no plant 'enterprise'"),
        ((PLANT,), "say which messages"),
        ((PLANT, "--position", "999999"), "and position 999,999 was asked for"),
        ((PLANT, "--first", "9", "--last", "2"), "the range is empty: it begins at position 9 and ends at 2"),
        ((PLANT, "--first", "1", "--last", "999999"), "and position 999,999 was asked for"),
        ((PLANT, "--since", "2026-03-03", "--until", "2026-03-02"), "the range is empty"),
        ((PLANT, "--since", "2031-01-01"), "no message of a plant was selected"),
        ((PLANT, "--interface", "nobody/9"), "no message of a plant was selected"),
        ((PLANT, "--since", "yesterday"), "--since must be a time such as"),
        ((PLANT, "--message", "nobody"), "knows no message 'nobody'"),
        ((PLANT, "--category", "invalid"), "a cause has a category and a subject"),
        ((PLANT, "--category", "invalid", "--subject", "x"), "no exception “invalid: x” is open"),
        ((PLANT, "--position", "4", "--first", "2"), "--position is one message"),
        ((PLANT, "--position", "4", "--mapping", "nowhere"), "--mapping is current, ran, or the folder of an adapter"),
        ((PLANT, "--position", "4", "--proposed", "x.toml"), "--proposed only rehearses"),
        ((PLANT, "--position", "0"), "--position"),
    ],
)
def test_what_can_t_be_meant_is_refused_in_words(site: Site, say: Any, words: tuple[str, ...], said: str) -> None:
    site.machine()
    head = site.head()
    refused = say("replay", *words, "--by", "ann", "--reason", "x")
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert site.head() == head


def test_a_live_replay_needs_a_reason(site: Site, say: Any) -> None:
    at = site.machine()
    refused = say("replay", PLANT, "--position", at)
    assert (refused.code, "reason must have 1 to 128 characters" in refused.err) == (2, True)


def test_what_is_not_replayable_ends_with_a_code_of_its_own(site: Site, say: Any) -> None:
    at = site.machine()
    found = say("replay", PLANT, "--position", at, "--by", "ann", "--reason", "x")
    assert found.code == 1
    assert "not replayable: 1" in found.out
    assert "the mapping refuses it" in found.out


def test_a_proposed_configuration_is_rehearsed_with_its_adapters_and_its_policy(site: Site, say: Any) -> None:
    first = site.machine("m1")
    site.machine("m2")
    mapping.write(site.folder / "other", f'{HEAD}format = "json"\n{mapping.REPORT}')
    text = (
        site.config.read_text("utf-8").replace('"adapter"', '"other"').replace("[erp.main]", '[plant.policy]\ngather = "order"\n[erp.main]')
    )
    (site.folder / "proposed.toml").write_text(text, "utf-8")
    head = site.head()
    found = say("replay", PLANT, "--first", first, "--sandbox", "--proposed", site.folder / "proposed.toml", "--json")
    assert found.code == 0, found.err
    assert found.json["changed"] == ["adapter demo/1", f"policy {PLANT}"]
    assert {name: (count["before"], count["after"]) for name, count in found.json["fates"].items()} == {
        "exception": (2, 0), "gathered": (0, 2),
    }  # fmt: skip
    assert (site.head(), site.fates()) == (head, {"exception": 2})
    assert not list((site.folder / "data").glob("synchromesh-replay-*"))
    words = say("replay", PLANT, "--first", first, "--sandbox", "--mapping", site.folder / "other")
    assert "2 postings that would have been made besides" in words.out
    assert "no difference" in say("replay", PLANT, "--first", first, "--sandbox").out


def test_the_mapping_that_ran_is_no_other_mapping(site: Site, say: Any) -> None:
    at = site.machine()
    refused = say("replay", PLANT, "--position", at, "--sandbox", "--mapping", "ran")
    assert (refused.code, "nothing would decide otherwise" in refused.err) == (2, True)


def test_why_leads_to_the_thing_to_fix(site: Site, say: Any) -> None:
    at = site.machine()
    why = say("why", f"{PLANT}:{at}", "--json")
    assert (why.code, [root["name"] for root in why.json["roots"]]) == (1, [f"{PLANT}:{at}.0"])
    assert "To be fixed:" in say("why", "m1").out
    unknown = say("why", "nothing")
    assert (unknown.code, "Nothing is known of “nothing”" in unknown.out) == (1, True)
    assert say("why", "4711").code == 0


# --- HTTP -----------------------------------------------------------------------------------------------------------------------


class Web:
    """The API of a site."""

    def __init__(self, site: Site, address: str, works: LongWorks) -> None:
        self.site, self.address, self.works = site, address, works

    def get(self, path: str) -> Any:
        with urlopen(self.address + path) as answer:
            return json.load(answer)

    def post(self, path: str, body: object) -> tuple[int, Any]:
        request = Request(self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urlopen(request) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    def done(self, path: str) -> Any:
        """The job's answer when it is through."""
        return until(lambda: (view := self.get(path))["state"] in ("done", "failed") and view, path)


@pytest.fixture
def web(site: Site) -> Iterator[Web]:
    stores = Stores(site.settings)
    reading: Reading = stores.reading()
    log = stores.log()
    works = LongWorks(site.settings, reading)
    inquiry = Inquiry("one", [PLANT], reading, log, tuple, now=lambda: NOON, clock=lambda: 0.0)
    routes = replay_routes(works, Asking([PLANT], reading, tuple).why)
    with served(create_page(inquiry, routes)) as address:
        yield Web(site, address, works)
    works.stop()
    reading.close()
    log.close()


def test_a_verification_is_asked_for_and_looked_at(web: Web) -> None:
    assert web.get("/v1/verifications") == {"state": "idle"}
    status, begun = web.post("/v1/verifications", {})
    assert (status, begun["state"], begun["kind"]) == (202, "running", "verification")
    done = web.done("/v1/verifications")
    assert done["state"] == "done", done
    found = {each["partition"]: each for each in done["result"]}
    assert (found[PLANT]["rebuilt"], found[PLANT]["differences"]) == (web.site.head(), [])


def test_a_verification_names_what_differs(web: Web) -> None:
    import sqlite3  # noqa: PLC0415 - only here a hand is in the database

    with sqlite3.connect(web.site.folder / "data" / "state.db") as hand:
        hand.execute("UPDATE entity SET value = x'90' WHERE kind = 'location'")
    hand.close()
    web.post("/v1/verifications", {})
    [difference] = web.done("/v1/verifications")["result"][-1]["differences"]
    assert (difference["table"], difference["key"]) == ("entity", "location FG")


def test_one_work_of_a_kind_runs_at_a_time(web: Web) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(web.post("/v1/verifications", {})[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [202, 409, 409, 409]
    web.done("/v1/verifications")
    assert web.post("/v1/verifications", {})[0] == 202


def test_a_work_that_is_ended_says_so(web: Web) -> None:
    web.post("/v1/verifications", {})
    web.works.stop()
    ended = web.done("/v1/verifications")
    assert (ended["state"], "before it was done" in ended["problem"]) == ("failed", True)


def test_a_replay_by_http_is_dry_first_and_then_done_once(web: Web) -> None:
    at = web.site.machine()
    web.site.adapt(mapping.REPORT)
    asked = {"select": {"plant": PLANT, "first": at, "last": at}}
    assert web.post("/v1/replays", asked)[0] == 202
    dry = web.done("/v1/replays")
    assert (dry["kind"], dry["result"]["preview"]["made"]["count"]) == ("dry run", 1)
    for decided in (1, 0):
        web.post("/v1/replays", asked | {"kind": "replay", "by": "ann", "reason": "the scale"})
        assert web.done("/v1/replays")["result"]["decided"] == decided
        web.site.fold()
    assert web.site.fates() == {"booking": 1}
    web.post("/v1/replays", asked | {"kind": "rehearsal"})
    assert web.done("/v1/replays")["result"]["made"]["count"] == 1


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"select": {"plant": "bergen", "first": 1}}, 422, "there is no plant 'bergen'"),
        ({"select": {"plant": PLANT}}, 422, "say which messages"),
        ({"select": {"plant": PLANT, "first": 9, "last": 2}}, 422, "the range is empty"),
        ({"select": {"plant": PLANT, "last": 999999}}, 422, "position 999,999 was asked for"),
        ({"select": {"plant": PLANT, "first": -4}}, 422, "positions begin at 1"),
        ({"select": {"plant": PLANT, "first": 1}, "kind": "replay"}, 422, "by must have 1 to 128 characters"),
        ({"select": {"plant": PLANT, "first": 1}, "mapping": "/etc"}, 422, "the body can't be meant"),
        ({"select": {"plant": PLANT, "frist": 1}}, 422, "the body can't be meant"),
        ({}, 422, "the body can't be meant"),
        ([], 422, "the body can't be meant"),
    ],
)
def test_bad_requests_are_refused_before_anything_begins(web: Web, body: object, status: int, said: str) -> None:
    code, problem = web.post("/v1/replays", body)
    assert (code, said in problem["detail"]) == (status, True), problem
    assert web.get("/v1/replays") == {"state": "idle"}


def test_a_replay_of_what_is_gone_fails_with_words(web: Web) -> None:
    at = web.site.machine()
    web.site.trim(at)
    for file in (web.site.folder / "data" / "archive").rglob("*.gz"):
        file.unlink()
    web.post("/v1/replays", {"select": {"plant": PLANT, "first": at, "last": at}})
    failed = web.done("/v1/replays")
    assert (failed["state"], "archive" in failed["problem"]) == ("failed", True)


def test_why_by_http(web: Web) -> None:
    at = web.site.machine()
    assert [root["kind"] for root in web.get(f"/v1/why?q={PLANT}:{at}")["roots"]] == ["exception"]
    assert web.get("/v1/why?q=nothing") == {"query": "nothing"}
    for bad in ("", "x" * 201):
        with pytest.raises(HTTPError, match="400"):
            web.get(f"/v1/why?q={quote(bad)}")

"""The JSON answers, their refusals, the headers and the figures for Prometheus."""

from __future__ import annotations

import msgspec
import pytest
from tests.console.conftest import Get
from tests.console.fakes import Fake

from synchromesh.engine.views import FactView, Story, Summary, Trace
from synchromesh.observe import names
from synchromesh.state.agreement import StateError


def test_answers_decode_as_the_views_they_show(get: Get, fake: Fake) -> None:
    summary = msgspec.json.decode(get("/v1/summary").body, type=Summary)
    assert summary == fake.summary()
    facts = msgspec.json.decode(get("/v1/facts", limit="7").body, type=list[FactView])
    assert facts == fake.recent(7)
    trace = msgspec.json.decode(get("/v1/trace", q="4711").body, type=Trace)
    assert trace == fake.trace("4711")
    assert trace.stories
    story = msgspec.json.decode(get("/v1/plants/oslo/facts/1").body, type=Story)
    assert story == fake.story("oslo", 1)


def test_the_list_is_100_facts_unless_said_otherwise(get: Get) -> None:
    assert len(msgspec.json.decode(get("/v1/facts").body)) == 100


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "9999999999999999999999", "ten", "1.5", "", "\u0661"])
def test_a_wrong_limit_is_refused_with_the_range(get: Get, limit: str) -> None:
    answer = get("/v1/facts", limit=limit)
    assert answer.status == 400
    assert "from 1 to 1,000" in answer.detail


@pytest.mark.parametrize("query", ["", "   ", "x" * 201])
def test_a_search_for_nothing_or_for_too_much_is_refused(get: Get, query: str) -> None:
    answer = get("/v1/trace", q=query)
    assert answer.status == 400
    assert "1 to 200 characters" in answer.detail


def test_a_fact_that_is_not_there_says_how_to_find_one(get: Get) -> None:
    answer = get("/v1/plants/oslo/facts/100000")
    assert answer.status == 404
    assert "/v1/trace" in answer.detail


@pytest.mark.parametrize("path", ["/nothing", "/v1/plants/", "/../../etc/passwd"])
def test_an_address_of_nothing_says_where_to_look(get: Get, path: str) -> None:
    answer = get(path)
    assert answer.status == 404
    assert "docs/reference/http.md" in answer.detail


def test_a_store_that_cannot_answer_is_a_problem_and_no_traceback(get: Get, fake: Fake) -> None:
    def broken() -> Summary:
        raise StateError("state.db is damaged; restore it from the log with `synchromesh verify`")

    fake.summary = broken  # type: ignore[method-assign]
    answer = get("/v1/summary")
    assert answer.status == 503
    assert "state.db is damaged" in answer.detail


def test_the_page_runs_no_script_but_its_own(get: Get) -> None:
    answer = get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert "http" not in policy, "the page loads nothing from anywhere else"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_metrics_are_those_of_the_catalogue_and_foreign_names_are_escaped(get: Get, fake: Fake) -> None:
    fake.facts = [msgspec.structs.replace(fake.facts[0], fate='bo"oked\n')]
    text = get("/metrics").text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert told == {metric.name for metric in names.METRICS}
    assert 'synchromesh_facts{fate="bo\\"oked\\n"} 1' in text.splitlines()
    assert "synchromesh_facts_unaccounted 0" in text.splitlines()
    assert 'synchromesh_system_reachable{system="works",grade="askable"} 0' in text.splitlines()


def test_a_figure_that_is_not_known_is_left_out_of_the_metrics(get: Get, fake: Fake) -> None:
    summary = msgspec.structs.replace(fake.summary(), latency=None, received_rate=None)
    fake.summary = lambda: summary  # type: ignore[method-assign]
    text = get("/metrics").text
    assert "arrival_to_outcome" not in text
    assert "received_per_second" not in text

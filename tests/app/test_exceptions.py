"""The exception queue as a user has it: real processes, refused facts in, repairs by command line and HTTP, one truth on both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.app.installation import Installation, Serve, installation, report, until

DECISIONS = "/v1/plants/oslo/decisions"
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Serve]]:
    """One installation that the tests of this file share; each has orders of its own."""
    with installation(tmp_path_factory.mktemp("plant")) as made:
        made.release("4711", "4712", "4713", "4714", "4715")
        yield made, made.serve()


def refused(serve: Serve, id: str, order: str) -> dict[str, Any]:
    """A fact that is too old to be told from a repeat; its exception."""
    serve.tell({**report(id, order), "time": LONG_AGO})
    return exception_of(serve, id)


def exception_of(serve: Serve, id: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        stories = [story for story in serve.stories(id) if story.get("exceptions")]
        return stories[0]["exceptions"][0] if stories else None

    answer: dict[str, Any] = until(found, f"an exception about {id}")
    return answer


def fate_of(serve: Serve, id: str) -> str:
    return str(serve.stories(id)[0]["fact"]["fate"])


def told(made: Installation, *arguments: object) -> Any:
    answer = made.command("exceptions", *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_a_cause_is_put_right_in_erp_and_everything_goes_on_by_itself(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    made.erp.admin("orders", [_order("4711", "closed")])
    serve.tell(report("c-1", "4711"))
    serve.tell(report("c-2", "4711"))
    exception_of(serve, "c-1")
    until(lambda: fate_of(serve, "c-2") in ("booking", "exception"), "the second fact, which waits or is refused too")
    causes = told(made, "list", "--category", "order closed")
    assert [(each["subject"], each["owner"]) for each in causes] == [("order 4711", "production planning")]
    assert causes == serve.look("/v1/causes?category=order%20closed")
    assert "order 4711" in made.command("exceptions", "list").stdout
    made.release("4711")
    until(lambda: {fate_of(serve, "c-1"), fate_of(serve, "c-2")} == {"booked"}, "both to be booked")
    assert len(made.documents("4711")) == 2


def test_one_is_looked_at_foreseen_and_tried_again_on_the_command_line(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    view = refused(serve, "r-1", "4712")
    shown = told(made, "show", view["id"])
    assert shown["stories"][0]["message"]["body"] == serve.stories("r-1")[0]["message"]["body"]
    assert shown == serve.look(f"/v1/plants/oslo/exceptions/{view['position']}.{view['ordinal']}")
    (foreseen,) = told(made, "retry", view["id"], "--dry-run")
    assert [one["lines"] for one in foreseen["foreseen"]["made"]["first"]] == [["1 EA of GEAR, at FG"]]
    assert fate_of(serve, "r-1") == "exception"
    (done,) = told(made, "retry", view["id"], "--by", "ann")
    assert done["came_of"] == "done"
    until(lambda: fate_of(serve, "r-1") == "booked", "the document")
    again = made.command("exceptions", "retry", view["id"], "--by", "ann")
    assert (again.returncode, "is resolved; nothing is to be done" in again.stderr) == (1, True)
    assert told(made, "show", view["id"])["exception"]["history"][0]["by"] == "ann"


def test_a_wrong_fact_is_corrected_and_another_dismissed_over_http(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    wrong, needless = refused(serve, "w-1", "4713"), refused(serve, "w-2", "4713")
    event = {"type": "production.reported", "order": "4713", "good": {"amount": "7", "unit": "EA"}}
    decision = {"type": "decision.fact.repaired", "position": wrong["position"], "by": "ann", "reason": "seven", "event": event}
    status, answer = serve.send(DECISIONS, decision)
    assert (status, answer[0]["came_of"]) == (202, "done")
    until(lambda: [one["lines"][0]["quantity"]["amount"] for one in made.documents("4713")] == ["7"], "the corrected document")
    dismissal = {"type": "decision.dismissed", "position": needless["position"], "by": "ann", "reason": "never was"}
    assert serve.send(DECISIONS, dismissal)[0] == 202
    until(lambda: fate_of(serve, "w-2") == "dismissed", "the dismissal")
    verbs = [(each["by"], each["verb"], each["came_of"]) for each in serve.look("/v1/audit?limit=2")]
    assert verbs == [("ann", "dismiss", "done"), ("ann", "correct", "done")]
    made.verified()


def test_a_cause_is_released_as_one_over_http(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    for number in range(5):
        refused(serve, f"g-{number}", "4714")
    body = {"type": "decision.cause.released", "category": "invalid", "subject": "interface native/1", "by": "ann"}
    status, answer = serve.send("/v1/causes/decisions?dry_run=true", body)
    assert (status, answer[0]["foreseen"]["made"]["count"]) == (200, 5)
    assert made.documents("4714") == []
    assert serve.send("/v1/causes/decisions", body)[0] == 202
    until(lambda: len(made.documents("4714")) == 5, "five documents")
    assert serve.look("/v1/causes?category=invalid") == []


BAD = [
    ({"type": "decision.retried", "posting": "oslo:1:receipt:1", "by": "ann"}, 404, "has no posting"),
    ({"type": "decision.dismissed", "position": 999_999, "by": "ann", "reason": "x"}, 404, "neither a fact nor a posting"),
    ({"type": "decision.dismissed", "position": 2**63, "by": "ann", "reason": "x"}, 422, "`$.position`"),
    ({"type": "decision.assigned", "exceptions": [[10**30, 0]], "by": "ann"}, 422, "`$.exceptions[0][0]`"),
    ({"type": "decision.retried", "posting": f"oslo:{10**30}:receipt:1", "by": "ann"}, 404, "has no posting"),
    ({"type": "decision.dismissed", "position": 1, "by": "ann"}, 422, "missing required field `reason`"),
    ({"type": "decision.nonsense", "by": "ann"}, 422, "decision.nonsense"),
    ({"type": "production.reported", "order": "4711"}, 422, "production.reported"),
    (b"{", 400, "not JSON"),
    (b"\xff\xfe", 400, "not JSON"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), BAD, ids=lambda each: str(each)[:24])
def test_what_cant_be_decided_is_refused_with_words(plant: tuple[Installation, Serve], body: object, status: int, sentence: str) -> None:
    _, serve = plant
    before = serve.look("/v1/audit")
    answered, answer = serve.send(DECISIONS, body)
    assert (answered, sentence in answer["detail"]) == (status, True), answer
    assert serve.look("/v1/audit") == before


def test_another_sites_page_can_decide_nothing(plant: tuple[Installation, Serve]) -> None:
    _, serve = plant
    body = {"type": "decision.dismissed", "position": 1, "by": "ann", "reason": "x"}
    assert serve.send(DECISIONS, body, **{"sec-fetch-site": "cross-site"})[0] == 403
    form = Request(serve.address + DECISIONS, data=b"type=decision.dismissed", headers={"content-type": "text/plain"})
    with pytest.raises(OSError, match="415"):
        urlopen(form, timeout=10)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "oslo"), 2, "are called PLANT:POSITION.ORDINAL"),
        (("show", "oslo:999999.0"), 1, "has no exception 999999.0"),
        (("show", "paris:1.0"), 1, "there is no plant 'paris'; the plants are oslo"),
        (("list", "--state", "shut"), 2, "there is no state 'shut'"),
        (("release", "nonsense", "x"), 2, "there is no category 'nonsense'"),
        (("release", "other", "x"), 1, "no exception “other: x” is open"),
        (("settle", "oslo:1.0"), 2, "either --document NUMBER"),
        (("approve", "oslo", "3"), 1, "has no proposal at position 3"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_wrong_use_of_the_command_line_is_one_line(
    plant: tuple[Installation, Serve], arguments: tuple[str, ...], code: int, said: str
) -> None:
    made, _ = plant
    answer = made.command("exceptions", *arguments)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (code, "", 1), answer.stderr
    assert said in answer.stderr


def test_a_correction_from_a_file_that_is_none_is_refused(plant: tuple[Installation, Serve], tmp_path: Path) -> None:
    made, serve = plant
    view = refused(serve, "f-1", "4715")
    for text, said in (("{}", "no event that can stand for another"), ('{"type": "production.order.completed", "order": "1"}', "no event")):
        (tmp_path / "event.json").write_text(text)
        answer = made.command("exceptions", "correct", view["id"], "--event", tmp_path / "event.json", "--reason", "x", "--by", "ann")
        assert (answer.returncode, said in answer.stderr) == (2, True), answer.stderr
    answer = made.command("exceptions", "correct", view["id"], "--event", tmp_path / "absent.json", "--by", "ann")
    assert (answer.returncode, "No such file" in answer.stderr) == (2, True)
    assert fate_of(serve, "f-1") == "exception"


def _order(order: str, status: str) -> dict[str, object]:
    quantity = {"amount": "1000000", "unit": "EA"}
    return {"type": "sandbox.order", "order": order, "item": "GEAR", "quantity": quantity, "location": "FG", "status": status}

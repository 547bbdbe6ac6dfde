"""The routes of reconciliation on a real server: what they answer, keep, and refuse."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.console.conftest import served
from tests.console.fakes import Fake
from tests.engine import test_desk as decisions
from tests.engine.reconcile.desk import desk_of, world_of
from tests.engine.world import World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.console.page import create_page
from synchromesh.console.reconcile import reconciliation_routes
from synchromesh.model import event as ev

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def world() -> World:
    """Two bars are missing in ERP, and nobody told."""
    world = world_of()
    world.erp_knows(StockSet("BAR", "RM", ea(98)))
    return world


@pytest.fixture
def ask(world: World) -> Iterator[Ask]:
    with served(create_page(Fake(), reconciliation_routes(desk_of(world), decisions.desk_of(world)))) as address:

        def asked(path: str, body: object = None, **headers: str) -> tuple[int, Any]:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(address + path, data, {"Content-Type": "application/json", **headers})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, json.loads(answer.read())
            except urllib.error.HTTPError as error:
                return error.code, json.loads(error.read())

        yield asked


def test_a_comparison_answers_with_its_rows_and_keeps_nothing(ask: Ask, world: World) -> None:
    head = world.log.head()
    status, report = ask("/v1/reconciliation/stock?plant=oslo")
    assert (status, report["beyond"], report["stock"][0]["difference"]) == (200, 1, "-2")
    assert report["stock"][0]["parts"] == [{"part": "unexplained", "amount": "-2"}]
    assert world.log.head() == head


def test_a_run_is_kept_and_its_proposal_is_approved_once(ask: Ask, world: World) -> None:
    status, report = ask("/v1/reconciliation/stock", {"plant": "oslo"})
    world.step()
    assert (status, report["kept"]) == (200, world.log.head()["oslo"])
    status, kept = ask("/v1/reconciliation/runs?plant=oslo")
    (difference,) = kept["differences"]
    assert (status, difference["proposal"], kept["runs"][0]["anew"]) == (200, f"{report['kept']}:1", 1)
    approval = {"plant": "oslo", "proposal": difference["proposal"], "by": "ada"}
    status, told = ask("/v1/reconciliation/approvals?dry_run=true", approval)
    assert (status, told["foreseen"]["made"]["count"], world.documents()) == (200, 1, [])
    for _ in range(2):
        status, told = ask("/v1/reconciliation/approvals", approval)
        world.step()
        assert (status, told["position"] > report["kept"]) == (202, True)
    assert [document.kind for document in world.documents()] == ["adjustment"]
    assert ask("/v1/reconciliation/stock?plant=oslo")[1]["different"] == 0


def test_a_proposal_that_does_not_fit_any_more_is_a_conflict(ask: Ask, world: World) -> None:
    _, report = ask("/v1/reconciliation/stock", {"plant": "oslo"})
    world.step()
    world.tell(ev.MaterialConsumed("4711", "BAR", ea(1), location="RM"))
    world.step()
    status, problem = ask("/v1/reconciliation/approvals", {"plant": "oslo", "proposal": f"{report['kept']}:1", "by": "ada"})
    assert (status, "run the reconciliation again" in problem["detail"]) == (409, True)


def test_orders_states_and_periods_answer(ask: Ask) -> None:
    for scope in ("orders", "states"):
        status, report = ask(f"/v1/reconciliation/{scope}?plant=oslo")
        assert (status, report["scope"], report["beyond"]) == (200, scope, 0)
    status, period = ask("/v1/reconciliation/periods?plant=oslo&first=2026-03-01&last=2026-03-31")
    assert (status, period["can_be_closed"]) == (200, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/reconciliation/stock?plant=pluto", None, 404, "there is no plant 'pluto'; there are oslo"),
        ("/v1/reconciliation/lots?plant=oslo", None, 404, "there are stock, orders, states"),
        ("/v1/reconciliation/stock", None, 400, "say which plant: ?plant="),
        ("/v1/reconciliation/runs?plant=pluto", None, 404, "there is no plant 'pluto'"),
        ("/v1/reconciliation/periods?plant=oslo", None, 400, "a period is told by two days"),
        ("/v1/reconciliation/periods?plant=oslo&first=2026-03-31&last=2026-03-01", None, 400, "before it begins"),
        ("/v1/reconciliation/periods?plant=oslo&first=x&last=2026-03-01", None, 400, "not 'x' and '2026-03-01'"),
        ("/v1/reconciliation/stock", {"plant": "pluto"}, 404, "there is no plant 'pluto'"),
        ("/v1/reconciliation/stock", {}, 422, "plant"),
        ("/v1/reconciliation/approvals", {"plant": "oslo", "proposal": "9:9", "by": "ada"}, 404, "there is no proposal '9:9'"),
        ("/v1/reconciliation/approvals", {"plant": "oslo", "proposal": "9:9", "by": ""}, 422, "by"),
        ("/v1/reconciliation/approvals", {"plant": "oslo", "proposal": "9:9", "by": "ada", "amount": 7}, 422, "amount"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_what_to_do(ask: Ask, path: str, body: object, status: int, words: str) -> None:
    told, problem = ask(path, body)
    assert (told, words in problem["detail"]) == (status, True), problem


def test_another_sites_page_can_not_approve(ask: Ask) -> None:
    body = {"plant": "oslo", "proposal": "1:1", "by": "ada"}
    assert ask("/v1/reconciliation/approvals", body, **{"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_a_business_system_that_does_not_answer_is_said_to(world: World) -> None:
    world.faults.set_rates({Fault.UNAVAILABLE: 1.0})
    desk = desk_of(world)
    with served(create_page(Fake(), reconciliation_routes(desk, decisions.desk_of(world)))) as address:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/v1/reconciliation/stock?plant=oslo", timeout=30)
        assert (refused.value.code, b"the sandbox is unavailable just now" in refused.value.read()) == (502, True)

"""The exception queue in a real browser over a real plant and a sandbox ERP: what is shown, foreseen, decided, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import TypeVar
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from tests.console.conftest import served
from tests.console.fakes import HOSTILE, Fake
from tests.engine import test_desk as repair
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.console.exceptions import exception_routes
from synchromesh.console.page import create_page
from synchromesh.engine.desk import Desk
from synchromesh.engine.inquiry import Inquiry
from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message
from synchromesh.plant.policy import Policy

Open = Callable[..., Page]
T = TypeVar("T")
LONG = 15_000


def apart(do: Callable[[], T]) -> T:
    """Do it in a thread of its own: the browser's client has a running event loop in this one, and a world makes its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(do).result()


def refusing(orders: int, policy: Policy | None = None) -> World:
    return apart(lambda: repair.refusing(orders, policy))


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens the queue of a world; a page whose script fails, or is refused by the content policy, fails the test."""
    errors: list[str] = []
    with ExitStack() as stack:

        def open_(world: World, view: str = "exceptions", by: str = "ann", width: int = 1280) -> Page:
            address = stack.enter_context(served(create_page(Fake(), _routes(world))))
            page = browser.new_page(viewport={"width": width, "height": 1000})
            stack.callback(page.close)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda line: errors.append(line.text) if line.type == "error" and "status of 4" not in line.text else None)
            page.add_init_script(f"localStorage.setItem('synchromesh.by', '{by}')")
            page.goto(f"{address}/#{view}")
            return page

        yield open_
    assert errors == []


def _routes(world: World) -> list:  # type: ignore[type-arg]
    one_at_a_time = threading.Lock()

    def settled(plant: str, position: int) -> bool:
        with one_at_a_time:
            world.step()
        return world.worker.positions[plant] >= position

    reading = world.store.reading()
    desk = Desk([PLANT], reading, world.log, now=lambda: world.time, settled=settled)
    inquiry = Inquiry("test", [PLANT], reading, world.log, tuple, now=lambda: world.time, clock=lambda: 0.0)
    return exception_routes(desk, inquiry.held_up_by)


def first(page: Page) -> None:
    """Open the first exception of the only cause."""
    page.locator(".cause > details > summary").click()
    page.locator(".members summary").first.click()


def foresee(page: Page, button: str) -> None:
    """Press a button and wait until the dialog tells what would happen."""
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("#decide-foreseen h3")).to_have_text("This would happen; nothing is changed yet")


def test_a_cause_is_told_in_words_with_what_it_holds_up(opened: Open) -> None:
    world = refusing(3)
    world.time += timedelta(hours=5)
    page = opened(world)
    cause = page.locator(".cause")
    expect(cause).to_have_count(1)
    for words in (
        "item GEAR",
        "unknown item",
        "Item 'GEAR' does not exist.",
        "What to do:",
        "exceptions3",
        "orders3",
        "oslo",
        "Late",
        "master data",
    ):
        expect(cause).to_contain_text(words)
    expect(page.locator("#queue-sum")).to_have_text("1 cause · 3 exceptions · 3 facts held up · 1 late")


def test_a_cause_is_released_through_the_page_and_erp_books_it(opened: Open) -> None:
    world = refusing(3)
    world.erp_knows_as(ev.ItemChanged("GEAR", "EA"))
    page = opened(world)
    head = world.log.head()
    foresee(page, "Release…")
    told = page.locator("#decide-foreseen")
    for words in (
        "3 postings would be made",
        "receipt for order 4700",
        "5 EA of GEAR, at FG",
        "facts exception: 3 → 0",
        "open exceptions: 3 → 0",
    ):
        expect(told).to_contain_text(words)
    assert (world.log.head(), world.documents()) == (head, []), "a dry run changes nothing"
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.locator("#queue-result")).to_have_text("oslo: release: done", timeout=LONG)
    expect(page.locator("#queue-empty")).to_have_text("Nothing waits for a person.")
    assert [document.order for document in world.documents()] == ["4700", "4701", "4702"]


def test_one_is_opened_to_message_event_posting_and_erps_words_and_sent_again(opened: Open) -> None:
    world = refusing(1)
    world.erp_knows_as(ev.ItemChanged("GEAR", "EA"))
    page = opened(world)
    first(page)
    expect(page.locator(".member-body .step h3").filter(has_text="Message")).to_be_visible()
    expect(page.locator(".member-body")).to_contain_text("production.reported")
    foresee(page, "Retry…")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#queue-result")).to_have_text("oslo: retry: done", timeout=LONG)
    assert world.fates() == {"booked": 1}


def test_nothing_is_dismissed_without_a_reason(opened: Open) -> None:
    world = refusing(2)
    head = world.log.head()
    page = opened(world)
    page.get_by_role("button", name="Dismiss all…").click()
    page.get_by_role("button", name="What would happen?").click()
    expect(page.locator("#decide-problem")).to_have_text("Say why: a reason is required.")
    expect(page.locator("#decide-confirm")).to_be_disabled()
    assert world.log.head() == head
    page.get_by_role("textbox", name="Reason").fill("trial run")
    page.keyboard.press("Enter")
    expect(page.locator("#decide-foreseen")).to_contain_text("facts dismissed: 0 → 2")
    page.get_by_role("textbox", name="Reason").fill("trial runs")
    expect(page.locator("#decide-confirm")).to_be_disabled()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Dismiss all", exact=True).click()
    expect(page.locator("#queue-result")).to_have_text("oslo: dismiss: done", timeout=LONG)
    assert {row.reference for row in world.facts()} == {"ann: trial runs"}


def test_a_fact_is_corrected_in_the_editor_and_the_server_judges_it(opened: Open) -> None:
    world = refusing(1)
    world.erp_knows_as(ev.ItemChanged("GEAR", "EA"))
    page = opened(world)
    first(page)
    page.get_by_role("button", name="Correct…").click()
    editor = page.get_by_label("The event that it should have been")
    was = editor.input_value()
    page.get_by_role("textbox", name="Reason").fill("counted again")
    editor.fill("{")
    page.get_by_role("button", name="What would happen?").click()
    expect(page.locator("#decide-problem")).to_contain_text("The event is not JSON")
    editor.fill(was.replace('"order": "4700"', '"ordre": "4700"'))
    page.get_by_role("button", name="What would happen?").click()
    expect(page.locator("#decide-problem")).to_contain_text("ordre")
    assert '"5"' in was
    editor.fill(was.replace('"5"', '"4"'))
    foresee(page, "What would happen?")
    page.locator("#decide-confirm").click()
    expect(page.locator("#queue-result")).to_have_text("oslo: correct: done", timeout=LONG)
    assert sum(world.booked("4700").values()) == 4


def test_a_message_that_nobody_can_read_is_corrected_in_the_editor_and_stays_as_it_came(opened: Open) -> None:
    world = World()
    apart(world.order)
    garbled = Message(PLANT, "mes", "m-1", NATIVE, world.time, b'{"type": "production.reported", "order": 4711}', occurred=world.time)
    (at,) = world.log.append([garbled])
    apart(world.step)
    page = opened(world)
    first(page)
    expect(page.get_by_role("button", name="Correct…", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Correct the message…").click()
    editor = page.get_by_label("What the message should have said")
    assert editor.input_value() == garbled.body.decode()
    page.get_by_role("textbox", name="Reason").fill("it was five")
    page.get_by_role("button", name="What would happen?").click()
    expect(page.locator("#decide-problem")).to_contain_text("changes nothing")
    editor.fill(repair.payload("4711", "5"))
    foresee(page, "What would happen?")
    expect(page.locator("#decide-foreseen")).to_contain_text("5 EA of GEAR, at FG")
    assert world.documents() == []
    page.locator("#decide-confirm").click()
    expect(page.locator("#queue-result")).to_have_text("oslo: replay: done", timeout=LONG)
    assert (world.fate(at), [document.order for document in world.documents()]) == ("booked", ["4711"])
    assert world.log.read({PLANT: at - 1}, 1)[PLANT][0].message == garbled


def test_what_looks_like_a_document_of_others_is_told_before_it_is_sent_again(opened: Open) -> None:
    world = refusing(1)
    world.erp_knows(ev.ItemChanged("GEAR", "EA"))
    apart(lambda: repair.by_hand(world))
    page = opened(world)
    first(page)
    foresee(page, "Retry…")
    expect(page.locator("#decide .warning")).to_contain_text("looks like document by-hand-1, which somebody booked in ERP")
    assert world.documents() == []
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#queue-result")).to_have_text("oslo: retry: done", timeout=LONG)
    assert [document.order for document in world.documents()] == ["4700"]


def test_one_is_sent_again_as_the_last_of_its_lane_and_the_trail_says_so(opened: Open) -> None:
    world = refusing(1)
    apart(lambda: (world.tell(ev.ProductionReported("4700", good=ea(7))), world.step()))
    world.erp_knows(ev.ItemChanged("GEAR", "EA"))
    page = opened(world)
    first(page)
    foresee(page, "Retry as the last…")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#queue-result")).to_have_text("oslo: retry: done", timeout=LONG)
    assert [str(document.lines[0].quantity.amount) for document in world.documents()] == ["7", "5"]
    page.get_by_role("link", name="Decisions").first.click()
    expect(page.locator("#audit li").first).to_contain_text("again, as the last of its lane")


def test_a_release_shows_how_far_it_has_come(opened: Open) -> None:
    world = refusing(300)
    world.own(ev.CauseReleased(world.exceptions()[0].category, "item GEAR", "ann"))  # type: ignore[arg-type]
    world.worker.step()
    page = opened(world)
    progress = page.locator(".release progress")
    expect(page.locator(".release")).to_have_text("Being tried again for ann at oslo: 300 left")
    expect(progress).to_have_attribute("value", "0")
    world.worker.tick()
    world.worker.step()
    expect(page.locator(".release")).to_have_text("Being tried again for ann at oslo: 44 left", timeout=LONG)
    expect(progress).to_have_attribute("value", "256")
    apart(world.step)
    expect(page.locator(".release")).to_have_count(0, timeout=LONG)


def test_a_cause_and_its_exceptions_say_at_which_work_centre(opened: Open) -> None:
    world = World()
    apart(lambda: world.order("4700", work_centre="LINE-7"))
    del world.books.register.items["GEAR"]
    world.tell(ev.ProductionReported("4700", good=ea(5)))
    apart(world.step)
    page = opened(world)
    expect(page.locator(".cause")).to_contain_text("work centresLINE-7")
    page.locator(".cause > details > summary").click()
    expect(page.locator(".members summary").first).to_contain_text("at LINE-7")


def test_doubt_is_settled_with_the_number_of_the_document(opened: Open) -> None:
    world = World(rules=Rules(grade=Grade.BLIND))
    apart(world.order)
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.faults.arm(Fault.LOST)
    apart(lambda: world.run(10))
    page = opened(world)
    first(page)
    expect(page.get_by_role("button", name="Retry…")).to_have_count(0)
    page.get_by_role("button", name="Settle…").click()
    page.get_by_label("What ERP shows").select_option("yes")
    page.get_by_role("button", name="What would happen?").click()
    expect(page.locator("#decide-problem")).to_have_text("Say the number of the document in ERP.")
    page.get_by_label("Number of the document").fill("4900000099")
    foresee(page, "What would happen?")
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(page.locator("#queue-result")).to_have_text("oslo: settle: done", timeout=LONG)
    assert [row.document for row in world.postings()] == ["4900000099"]


def test_somebody_works_on_a_cause_and_all_see_it(opened: Open) -> None:
    world = refusing(2)
    page = opened(world)
    page.get_by_role("button", name="Assign…").first.click()
    page.get_by_role("textbox", name="Who works on it").fill("bob")
    page.keyboard.press("Enter")
    page.locator("#decide-confirm:enabled").click()
    expect(page.locator(".cause")).to_contain_text("works on itbob", timeout=LONG)
    assert {row.assigned for row in world.exceptions()} == {"bob"}


def test_four_eyes(opened: Open) -> None:
    world = apart(repair.four_eyes)
    page = opened(world)
    foresee(page, "Release…")
    expect(page.locator(".warning")).to_contain_text("a second person must approve it")
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.locator("#queue-result")).to_contain_text("it waits for a second person", timeout=LONG)
    page.get_by_role("link", name="1 decision waits for a second person").click()
    page.get_by_role("button", name="Approve…").click()
    expect(page.locator("#decide-problem")).to_have_text("ann proposed this: a second person must approve it")
    page.get_by_label("Who decides").fill("bob")
    foresee(page, "What would happen?")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator("#decisions-result")).to_contain_text("done", timeout=LONG)
    expect(page.locator("#proposals-empty")).to_be_visible()
    expect(page.locator("#audit li")).to_have_count(2)
    expect(page.locator("#audit li").last).to_contain_text(
        "ann had everything tried again that was stopped by “unknown item: item GEAR” proposed"
    )


def test_a_proposal_is_denied_with_a_reason(opened: Open) -> None:
    world = refusing(1, Policy(approvals=("release",)))
    world.own(ev.CauseReleased(world.exceptions()[0].category, "item GEAR", "ann"))  # type: ignore[arg-type]
    apart(world.step)
    page = opened(world, "decisions", by="bob")
    page.get_by_role("button", name="Deny…").click()
    page.get_by_role("textbox", name="Reason").fill("not yet")
    foresee(page, "What would happen?")
    page.get_by_role("button", name="Deny", exact=True).click()
    expect(page.locator("#audit li").first).to_contain_text("not yet", timeout=LONG)
    assert world.fates() == {"exception": 1}


def test_hostile_names_stay_text(opened: Open) -> None:
    world = World()
    apart(lambda: world.order("4711", HOSTILE))
    del world.books.register.items[HOSTILE]
    world.tell(ev.ProductionReported("4711", good=ea(5), reason=HOSTILE))
    apart(world.step)
    page = opened(world)
    expect(page.locator(".cause h3")).to_have_text(f"item {HOSTILE}")
    first(page)
    expect(page.locator(".member-body")).to_contain_text(HOSTILE)
    foresee(page, "Retry…")
    assert page.title() == "Synchromesh"
    assert page.locator("img").count() == 0


def test_what_is_open_and_typed_outlives_what_happens_meanwhile(opened: Open) -> None:
    world = refusing(2)
    page = opened(world)
    first(page)
    expect(page.locator(".member-body .story").first).to_be_visible()
    page.get_by_role("button", name="Dismiss…", exact=True).click()
    page.get_by_role("textbox", name="Reason").fill("half a sen")
    world.tell(ev.OrderChanged("4702", "GEAR", ea(100), location="FG"), source="erp")
    world.books.register.orders["4702"] = world.books.register.orders["4701"]
    world.tell(ev.ProductionReported("4702", good=ea(1)))
    apart(world.step)
    expect(page.locator(".cause > details > summary")).to_have_text("3 exceptions", timeout=LONG)
    expect(page.get_by_role("textbox", name="Reason")).to_have_value("half a sen")
    expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".member-body .story").first).to_be_visible()
    dismiss = page.get_by_role("button", name="Dismiss…", exact=True)
    expect(dismiss).to_be_focused()
    for _ in range(2):
        with page.expect_response("**/v1/causes/members?*"):
            pass
    expect(dismiss).to_be_focused()


def test_a_large_cause_comes_in_pages(opened: Open) -> None:
    world = refusing(120)
    page = opened(world)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/members" in request.url else None)
    page.locator(".cause > details > summary").click()
    expect(page.locator(".members > li")).to_have_count(50)
    page.get_by_role("button", name="Show 50 more of 120").click()
    expect(page.locator(".members > li")).to_have_count(100)
    page.get_by_role("button", name="Show 20 more of 120").click()
    expect(page.locator(".members > li")).to_have_count(120)
    assert max(int(parse_qs(urlparse(request.url).query)["limit"][0]) for request in asked) <= 150


def test_filters_show_only_a_plant_and_a_category(opened: Open) -> None:
    page = opened(refusing(1))
    expect(page.locator(".cause")).to_have_count(1)
    expect(page.locator("#queue-category option")).to_have_count(2)
    page.get_by_label("Category").select_option("unknown item")
    page.locator("#queue-plant").select_option("lyon")
    expect(page.locator("#queue-empty")).to_have_text("Nothing of this plant and category waits for a person.")
    page.locator("#queue-plant").select_option("oslo")
    expect(page.locator(".cause")).to_have_count(1)


def test_a_narrow_screen_needs_no_sideways_scrolling(opened: Open) -> None:
    page = opened(refusing(2), width=390)
    first(page)
    expect(page.locator(".member-body .story").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    foresee(page, "Release…")
    assert page.evaluate("document.querySelector('dialog').getBoundingClientRect().right") <= 390

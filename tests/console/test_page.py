"""The page in a real browser: figures, list, search, refresh, and nothing that a source told becomes markup."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.console.conftest import served
from tests.console.fakes import HOSTILE, Fake, fact

from synchromesh.console.page import create_page
from synchromesh.engine.views import Summary


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A new page that is closed before its server is, and that fails the test if its script does."""
    del address
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    page.close()
    assert errors == []


def test_shows_the_figures_and_the_last_hundred_facts(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#total")).to_have_text("240")
    expect(page.locator("#verdict")).to_have_text("every one accounted for")
    expect(page.locator("#legend")).to_contain_text("exception20")
    expect(page.locator("#rows tr")).to_have_count(100)
    expect(page.locator("#rows tr").first).to_contain_text("m-000239")
    expect(page.locator("#systems")).to_contain_text("does not answer")


def test_follows_what_happens(page: Page, address: str, fake: Fake) -> None:
    page.goto(address)
    expect(page.locator("#rows tr").first).to_contain_text("m-000239")
    fake.facts.append(fact(240))
    expect(page.locator("#rows tr").first).to_contain_text("m-000240")
    expect(page.locator("#total")).to_have_text("241")


def test_a_broken_promise_is_said_aloud(page: Page, address: str, fake: Fake) -> None:
    fake.summary = lambda: Summary("one", fact(0).received, 10, {"booked": 8})  # type: ignore[method-assign]
    page.goto(address)
    expect(page.locator("#verdict")).to_have_text("2 without exactly one fate")


@pytest.mark.parametrize(("query", "kind"), [("4711", "order"), ("L-001", "lot"), ("m-000004", "message"), ("4900000004", "document")])
def test_finds_a_fact_by_any_of_its_names(page: Page, address: str, query: str, kind: str) -> None:
    page.goto(address)
    page.get_by_role("searchbox").fill(query)
    page.get_by_role("button", name="Trace").click()
    expect(page.locator("#found")).to_contain_text(f"of {kind} {query}")
    expect(page.locator(".story").first).to_be_visible()


def test_a_story_goes_from_message_to_document(page: Page, address: str) -> None:
    page.goto(f"{address}/#q=m-000004")
    story = page.locator(".story")
    expect(story.locator(".step h3")).to_have_text(["Message", "Event", "Posting", "Document"])
    expect(story).to_contain_text("good9 EA")
    expect(story).to_contain_text("4900000004")


def test_a_row_opens_its_story_and_back_closes_it(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="m-000239").click()
    expect(page.locator("#found")).to_have_text("The message m-000239 of mes-1")
    page.go_back()
    expect(page.locator("#found")).to_have_count(0)


def test_nothing_found_is_said_in_words(page: Page, address: str) -> None:
    page.goto(f"{address}/#q=no-such")
    expect(page.locator("#found")).to_contain_text("Nothing is known of “no-such”")


def test_hostile_names_stay_text(page: Page) -> None:
    with served(create_page(Fake(hostile=True))) as url:
        page.goto(url)
        expect(page.locator("#rows tr").first).to_contain_text(HOSTILE)
        page.get_by_role("link", name=HOSTILE).last.click()
        expect(page.locator(".story")).to_contain_text(HOSTILE)
        assert page.title() == "Synchromesh"
        assert page.locator("main img").count() == 0
        page.goto("about:blank")


def test_a_narrow_screen_needs_no_sideways_scrolling(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(f"{address}/#q=4711")
    expect(page.locator("#rows tr")).to_have_count(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()

"""What a terminal shows of the whole and of a story; hostile names are text there, too."""

from __future__ import annotations

from io import StringIO

from rich.console import Console, RenderableType
from tests.console.fakes import NOW, Fake

from synchromesh.cli.show import summary_view, trace_view
from synchromesh.engine.views import MessageView, Story, Summary, Trace


def shown(view: RenderableType) -> str:
    out = StringIO()
    Console(file=out, width=160).print(view)
    return out.getvalue()


def test_a_summary_counts_every_fate() -> None:
    text = shown(summary_view(Fake().summary()))
    assert "240  facts, every one accounted for" in text
    for fate in ("booked", "booking", "gathered", "recorded", "duplicate", "waiting", "exception", "dismissed"):
        assert f"  {fate}" in text
    assert "412 facts/s in · 398 postings/s settled · arrival to outcome p50 8.2 ms, p99 41.0 ms" in text
    assert "works: grade askable, 3 waiting, does not answer" in text


def test_a_summary_says_when_the_promise_is_broken() -> None:
    text = shown(summary_view(Summary("one", NOW, 10, {"booked": 7, "strange": 1})))
    assert "2  without exactly one fate" in text
    assert "accounted for" not in text
    assert "1  strange" in text


def test_a_story_goes_from_message_to_document() -> None:
    text = shown(trace_view(Fake().trace("m-000004")))
    parts = ["fact of message m-000004", "message m-000004 of mes-1", "event production", "9 EA", "posting receipt", "document 4900000004"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_nothing_found_is_said_in_words() -> None:
    assert "Nothing is known of “x”" in shown(trace_view(Trace("x")))


def test_markup_in_names_is_text() -> None:
    (fact, *_) = Fake(1).facts
    hostile = "[red]x[/] [link=http://x]y[/link]"
    story = Story(type(fact)("oslo", 1, "s", hostile, hostile, NOW, hostile, hostile), MessageView("a/1"))
    assert shown(trace_view(Trace(hostile, ("message",), (story,)))).count(hostile) >= 4

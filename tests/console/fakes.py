"""Operations over made-up facts, with hostile names among them: what the page is tested and looked at with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from synchromesh.engine.views import (
    DocumentView,
    ExceptionView,
    FactView,
    Latency,
    MessageView,
    PostingView,
    Story,
    Summary,
    SystemView,
    Trace,
)

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
FATES = [
    "booked",
    "booked",
    "booking",
    "gathered",
    "booked",
    "waiting",
    "recorded",
    "booked",
    "exception",
    "duplicate",
    "booked",
    "dismissed",
]
REFERENCES = {"waiting": "order 4713", "recorded": "setup time", "duplicate": "position 17", "exception": "unknown item"}


class Fake:
    """A fixed history of `count` facts in two plants."""

    def __init__(self, count: int = 240, hostile: bool = False) -> None:
        self.facts = [fact(index) for index in range(count)]
        if hostile:
            self.facts[-1] = FactView("oslo", 9_001, HOSTILE, HOSTILE, "production.reported", NOW, "booked", HOSTILE, HOSTILE, HOSTILE)
        self.asked = 0

    def summary(self) -> Summary:
        self.asked += 1
        fates: dict[str, int] = {}
        for view in self.facts:
            fates[view.fate] = fates.get(view.fate, 0) + 1
        return Summary(
            name="two plants",
            at=NOW,
            facts=len(self.facts),
            fates=fates,
            waiting=12,
            exceptions=2,
            documents=103,
            received_rate=412.4,
            settled_rate=398.0,
            latency=Latency(8.25, 41.0, 1_000),
            plants=("oslo", "lyon"),
            systems=(SystemView("main", "unique", 9), SystemView("works", "askable", 3, reachable=False)),
        )

    def recent(self, limit: int) -> list[FactView]:
        return list(reversed(self.facts))[:limit]

    def exceptions(self, limit: int) -> list[ExceptionView]:
        return [exception(8), exception(20)][:limit]

    def story(self, plant: str, position: int) -> Story | None:
        return next((story(view) for view in self.facts if (view.plant, view.position) == (plant, position)), None)

    def trace(self, query: str) -> Trace:
        found = [view for view in self.recent(len(self.facts)) if query in _names(view)]
        matched = tuple(
            {word for view in found for word, name in zip(("order", "lot", "message"), _names(view), strict=False) if name == query}
        )
        return Trace(query, matched or (("document",) if found else ()), tuple(story(view) for view in found[:20]), len(found) > 20)


def fact(index: int) -> FactView:
    fate = FATES[index % len(FATES)]
    return FactView(
        plant=("oslo", "lyon")[index % 2],
        position=index + 1,
        source="mes-1",
        id=f"m-{index:06}",
        type=("production.reported", "production.material.consumed", "inventory.transferred")[index % 3],
        received=NOW + timedelta(milliseconds=137 * index),
        occurred=NOW - timedelta(seconds=index),
        fate=fate,
        reference=REFERENCES.get(fate, ""),
        order=str(4711 + index % 9) if index % 3 != 2 else "",
        lot=f"L-{index % 14:03}",
        documents=(DocumentView(f"4900{index:06}", f"http://127.0.0.1:1/documents/{index}" if index % 2 else ""),)
        if fate == "booked"
        else (),
    )


def story(view: FactView) -> Story:
    posting = PostingView(
        plant=view.plant,
        position=view.position,
        ordinal=1,
        key=f"{view.plant}-{view.position}-receipt-1",
        kind="receipt",
        state="posted" if view.documents else "waiting",
        target="main",
        decided=view.received,
        lines=(f"9 EA CABLE-HEAD, lot {view.lot}, into MAIN",),
        order=view.order,
        facts=4,
        waits_for="" if view.documents else "stock of STEEL-ROD at MAIN",
        document=view.documents[0] if view.documents else None,
        settled=NOW if view.documents else None,
    )
    event: dict[str, object] = {
        "type": view.type,
        "order": view.order,
        "good": {"amount": "9", "unit": "EA"},
        "lot": view.lot,
        "reason": view.reference,
    }
    body = '{"order":"4711","good":9,"unit":"EA"}'
    message = MessageView("mes/1", "application/json", len(body), body)
    failed = (exception(view.position),) if view.fate == "exception" else ()
    return Story(view, message, (event,), () if view.fate in ("recorded", "duplicate", "exception") else (posting,), failed)


def exception(position: int) -> ExceptionView:
    return ExceptionView(
        plant="oslo",
        position=position,
        ordinal=1,
        category="unknown item",
        subject="CABLE-HEAD-2",
        sentence="ERP has no item CABLE-HEAD-2.",
        state="open",
        opened=NOW,
        remedy="Create the item in ERP, or correct the code list of the adapter mes/1.",
        order="4711",
    )


def _names(view: FactView) -> tuple[str, ...]:
    return (view.order, view.lot, view.id, *(document.number for document in view.documents))

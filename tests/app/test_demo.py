"""The demonstration, on each of its ERPs: what the plants told is in the books, by the auditor's own arithmetic."""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from synchromesh.app.demo import Demo
from synchromesh.app.demo_erp import DemoErp
from synchromesh.app.sandbox import SandboxErp
from synchromesh.app.tryton import TrytonErp
from synchromesh.engine.views import Summary
from synchromesh.sim.evidence import Books
from synchromesh.sim.verdict import Fault, Verdict

CACHE = Path(tempfile.gettempdir()) / "synchromesh-tryton"
"""Seeded databases outlive a run: seeding takes longer than all the tests."""

tryton = pytest.param(
    "tryton",
    20,
    marks=[
        pytest.mark.tryton,
        pytest.mark.skipif(importlib.util.find_spec("trytond") is None, reason="needs the extra `tryton`"),
    ],
)

pytestmark = pytest.mark.slow


class Forgetful(SandboxErp):
    """A sandbox that shows its books without the last document: as if it had been lost."""

    async def books(self) -> Books:
        books = await super().books()
        return msgspec.structs.replace(books, documents=books.documents[:-1])


def erp_of(name: str, folder: Path) -> DemoErp:
    return SandboxErp(folder, seed=1) if name == "sandbox" else TrytonErp(folder, CACHE)


async def verdict_of(erp: DemoErp, facts: int) -> tuple[Verdict, list[Summary]]:
    seen: list[Summary] = []

    async def watch(summary: Summary) -> None:
        seen.append(summary)

    verdict = await Demo(lambda _: erp, 1, 0).run(facts, watch, asyncio.Event())
    assert verdict is not None
    return verdict, seen


@pytest.mark.parametrize(("name", "facts"), [("sandbox", 60), tryton])
async def test_what_was_told_is_in_the_books(tmp_path: Path, name: str, facts: int) -> None:
    verdict, seen = await verdict_of(erp_of(name, tmp_path / "erp"), facts)
    assert verdict.ok, str(verdict)
    assert verdict.facts == facts
    assert verdict.received > facts, "some facts were told twice"
    assert verdict.fates["booked"] > facts / 4
    assert verdict.documents >= verdict.fates["booked"]
    assert seen


async def test_a_document_that_is_not_in_the_books_is_found(tmp_path: Path) -> None:
    verdict, _ = await verdict_of(Forgetful(tmp_path / "erp", seed=1), 30)
    assert verdict.count(Fault.LOST) + verdict.count(Fault.STOCK) >= 2
    assert not verdict.ok


async def test_a_stopped_demonstration_has_no_verdict_and_leaves_nothing_running(tmp_path: Path) -> None:
    erp = SandboxErp(tmp_path / "erp", seed=1)
    stop = asyncio.Event()

    async def watch(summary: Summary) -> None:
        if summary.facts:
            stop.set()

    assert await Demo(lambda _: erp, 1, 0).run(None, watch, stop) is None
    with pytest.raises(OSError, match="Connect"):
        await erp.learn(erp.story(1, datetime.now(UTC)).masters()[0])

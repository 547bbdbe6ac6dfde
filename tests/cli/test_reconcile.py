"""`synchromesh reconcile` on an installation whose worker has run: what it shows, how it ends, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tests.connectors.sandbox.process import Running, sandbox

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.stores import Stores
from synchromesh.cli import run
from synchromesh.cli.frame import Code
from synchromesh.engine.worker import Worker
from synchromesh.model import event as ev
from synchromesh.model.event import amount
from synchromesh.model.message import NATIVE, Message

CONFIG = """\
[[plant]]
id = "oslo"
zone = "Europe/Oslo"
erp = "main"

[erp.main]
connector = "sandbox"
url = "{url}"
"""


def ea(number: int) -> dict[str, str]:
    return {"amount": str(number), "unit": "EA"}


class Shop:
    """An installation with one plant, folded without a serving process. ERP has 100 bars, and so has the plant."""

    def __init__(self, folder: Path, erp: Running) -> None:
        self.erp = erp
        self.config = folder / "synchromesh.toml"
        self.config.write_text(CONFIG.format(url=erp.url))
        erp.admin("items", [{"type": "master.item.changed", "item": "BAR", "unit": "EA"}])
        erp.admin("locations", [{"type": "sandbox.location", "location": "RM"}])
        self.set(100)
        prepare(read_settings(self.config))
        self.tell(
            ev.LocationChanged("RM"),
            ev.StockObserved((ev.StockLine("BAR", "RM", amount(100, "EA")),), ("BAR",)),
            ev.ItemChanged("BAR", "EA"),
        )

    def set(self, bars: int) -> None:
        self.erp.admin("stock", [{"type": "sandbox.stock", "item": "BAR", "location": "RM", "quantity": ea(bars)}])

    def tell(self, *events: ev.EnterpriseEvent | ev.PlantEvent) -> None:
        """Tell the plant, and let the worker fold everything."""
        stores = Stores(read_settings(self.config))
        log, state = stores.log(), stores.state()
        now = datetime.now(UTC)
        head = log.head().get("oslo", 0)
        encode = msgspec.json.Encoder(decimal_format="string").encode
        log.append([Message("oslo", "erp", f"{head}-{n}", NATIVE, now, encode(e), occurred=now) for n, e in enumerate(events)])
        worker = Worker(log, state, ["oslo", "enterprise"], "test", now=lambda: datetime.now(UTC))
        while worker.step():
            pass
        state.close()
        log.close()

    def run(self, *words: str) -> int:
        return run(["reconcile", *words, "--config", str(self.config)])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with sandbox() as erp:
        yield Shop(tmp_path, erp)


def test_books_that_agree_end_with_0(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for scope in ("stock", "orders", "states"):
        assert shop.run(scope) == Code.OK
        assert "0 different, 0 beyond tolerance" in capsys.readouterr().out


def test_a_difference_ends_with_1_and_is_shown_with_its_parts(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.set(98)
    assert shop.run("stock") == Code.PROBLEMS
    shown = capsys.readouterr().out
    assert "oslo, stock: 1 compared, 1 different, 1 beyond tolerance" in shown
    assert "-2 EA unexplained" in shown
    assert shop.run("stock", "--json") == Code.PROBLEMS
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["stock"][0]["theirs"], report["kept"] > 0) == ("98", True)
    assert shop.run("stock", "--look", "--json") == Code.PROBLEMS
    assert "kept" not in json.loads(capsys.readouterr().out)[0]


def test_a_proposal_is_shown_and_approved(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.set(98)
    shop.run("stock")
    shop.tell()
    assert shop.run("runs") == Code.PROBLEMS
    shown = capsys.readouterr().out
    assert "Adjust item BAR at RM in ERP by +2 EA." in shown
    assert shop.run("runs", "--json") == Code.PROBLEMS
    proposal = json.loads(capsys.readouterr().out)[0]["differences"][0]["proposal"]
    assert shop.run("approve", proposal, "--by", "ada") == Code.OK
    shop.tell()
    capsys.readouterr()
    shop.run("runs", "--json")
    assert json.loads(capsys.readouterr().out)[0]["differences"][0]["by"] == "ada"


def test_a_proposal_that_does_not_fit_ends_with_1(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.set(98)
    shop.run("stock")
    shop.tell(ev.StockAdjusted("BAR", amount(1, "EA"), "RM", "counted"))
    capsys.readouterr()
    shop.run("runs", "--json")
    proposal = json.loads(capsys.readouterr().out)[0]["differences"][0]["proposal"]
    assert shop.run("approve", proposal, "--by", "ada") == Code.PROBLEMS
    assert "does not fit any more" in capsys.readouterr().err


def test_a_period_that_can_be_closed_ends_with_0_and_one_that_can_not_with_1(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.run("period", "2026-01-01", "2099-12-31") == Code.OK
    assert "it can be closed" in capsys.readouterr().out
    shop.tell(ev.StockAdjusted("BAR", amount(1, "EA"), "RM", "counted"))
    assert shop.run("period", "2026-01-01", "2099-12-31") == Code.PROBLEMS
    assert "adjustment" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stock", "--plant", "pluto"], "there is no plant 'pluto'; there are oslo"),
        (["period", "2026-03-31", "2026-03-01"], "before it begins on 2026-03-31"),
        (["period", "March", "2026-03-01"], "a period is told by two days"),
        (["approve", "9:9", "--by", "ada"], "there is no proposal '9:9' in the last kept reconciliation of stock"),
        (["approve", "9:9", "--by", ""], "--by needs a name"),
    ],
)
def test_what_can_not_be_meant_is_one_line(shop: Shop, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    assert shop.run(*words) == Code.USAGE
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_an_erp_that_does_not_answer_ends_with_3(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.config.write_text(CONFIG.format(url="http://127.0.0.1:9"))
    assert shop.run("stock") == Code.UNREACHED
    assert "can't be reached" in capsys.readouterr().err

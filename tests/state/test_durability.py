"""What a commit or a claim has acknowledged is there, whole: after kill -9, and on a disk that loses what was not synced."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.log.lossy import ROOT, lossy_disk, run_until_power_cut

from synchromesh.state.agreement import StateError
from synchromesh.state.sqlite.outbox import SqliteOutbox
from synchromesh.state.sqlite.store import SqliteState

# Commits batches that belong together, claims what became ready, and prints each when it is acknowledged.
WORKER = """
import sys
from pathlib import Path
from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import StateError
from synchromesh.state.sqlite.outbox import SqliteOutbox
from synchromesh.state.sqlite.store import SqliteState
from tests.contracts.state import posting

path = Path(sys.argv[1]) / "state.db"
state = SqliteState(path)
if "sabotage" in sys.argv:
    state._connection.execute("PRAGMA synchronous = OFF")
epoch = state.attend("w", ["p", "q"])
outbox = SqliteOutbox(path)
if "sabotage" in sys.argv:
    outbox._connection.execute("PRAGMA main.synchronous = OFF")
position = state.positions().get("p", 0)
for position in range(position + 1, 1_000_000):
    word = str(position).encode()
    state.commit(epoch, [
        Changes(
            "p",
            position,
            entities={("last", "x"): word, ("order", str(position)): word * 50},
            identities={("mes", str(position)): position},
            postings={(position, 0): posting(position)},
            outbox_added={(position, 0): ("erp", "lane")},
        ),
        Changes("q", position, entities={("last", "x"): word}),
    ])
    print("committed", position, flush=True)
    for each in outbox.take("erp", "d", 9, 1):
        print("claimed", each.position, flush=True)
"""


def missing(directory: Path, acknowledged: list[str]) -> set[str]:
    """What was acknowledged and is not there; both partitions must stand at the same whole batch."""
    if not (directory / "state.db").exists():
        return set(acknowledged)
    state = SqliteState(directory / "state.db")
    last = state.positions().get("p", 0)
    word = {"x": str(last).encode()} if last else {}
    assert state.positions() == ({"p": last, "q": last} if last else {})
    assert state.load("p", "last", ["x"]) == state.load("q", "last", ["x"]) == word
    everything = range(1, last + 1)
    assert state.known("p", [("mes", str(position)) for position in range(1, last + 9)]) == {
        ("mes", str(each)): each for each in everything
    }
    assert len(state.load("p", "order", [str(position) for position in everything])) == last
    outbox = SqliteOutbox(directory / "state.db")
    claimed = {f"claimed {each.position}" for each in outbox.take_over("erp", f"auditor of {last}", {"p": last}, 1_000_000).entries}
    ready = outbox.take("erp", "auditor", 1_000_000, 1)
    assert claimed | {f"claimed {each.position}" for each in ready} == {f"claimed {position}" for position in everything}
    outbox.release([(each.partition, each.position, each.ordinal) for each in ready])
    outbox.close()
    state.close()
    return set(acknowledged) - {f"committed {position}" for position in everything} - claimed


def test_a_worker_killed_at_any_moment_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    chance = random.Random(12)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as worker:
            assert worker.stdout
            for _ in range(chance.randrange(20, 200)):
                acknowledged.append(worker.stdout.readline().strip())
            worker.kill()
            acknowledged.extend(line.strip() for line in worker.stdout.readlines() if line.endswith("\n"))
        assert missing(tmp_path, acknowledged) == set()


@pytest.mark.parametrize("at", [70, 111, 159, 240, 333, 800, 1501])
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, at: int) -> None:
    acknowledged = run_until_power_cut(lossy_disk(tmp_path), WORKER, _empty(tmp_path), at)
    assert acknowledged or at < 300
    assert missing(tmp_path / "data", acknowledged) == set()


def test_the_disk_really_loses_what_was_not_synced(tmp_path: Path) -> None:
    library = lossy_disk(tmp_path)
    lost = 0
    for at in (800, 1001, 1501):
        directory = _empty(tmp_path, f"data-{at}")
        acknowledged = run_until_power_cut(library, WORKER, directory, at, "sabotage")
        try:
            lost += len(missing(directory, acknowledged))
        except (AssertionError, StateError):
            lost += 1  # half a batch, or a torn file
    assert lost > 0


def _empty(folder: Path, name: str = "data") -> Path:
    (folder / name).mkdir()
    return folder / name

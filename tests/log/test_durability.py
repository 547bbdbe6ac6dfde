"""What the log has acknowledged is there: after kill -9, and after a power cut on a disk that loses what was not synced."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.log.lossy import ROOT, lossy_disk, run_until_power_cut

from synchromesh.log.sqlite import SqliteLog

# Appends lists of 1 to 30 messages to two partitions and prints what was acknowledged. A word behind the path sabotages durability.
APPENDER = """
import sys
from pathlib import Path
from synchromesh.log.sqlite import SqliteLog
from tests.contracts.log import message

log = SqliteLog(Path(sys.argv[1]) / "log.db")
if "sabotage" in sys.argv:
    log._writer.connection.execute("PRAGMA synchronous = OFF")
for number in range(1_000_000):
    told = [message("ab"[part % 2], b"x" * 400, f"{number}-{part}") for part in range(number % 30 + 1)]
    for each, position in zip(told, log.append(told)):
        print(each.partition, position, each.id)
    sys.stdout.flush()
"""


def missing(directory: Path, acknowledged: list[str]) -> set[str]:
    """What was acknowledged and is not in the log, which must have no gaps and take more."""
    log = SqliteLog(directory / "log.db")
    kept: set[str] = set()
    for partition, head in log.head().items():
        after = 0
        while after < head:
            records = log.read({partition: after}, 1000)[partition]
            assert records[0].position == after + 1
            after = records[-1].position
            kept |= {f"{partition} {record.position} {record.message.id}" for record in records}
    log.close()
    return set(acknowledged) - kept


def test_an_appender_killed_at_any_moment_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    chance = random.Random(11)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as appender:
            assert appender.stdout
            for _ in range(chance.randrange(50, 2000)):
                acknowledged.append(appender.stdout.readline().strip())
            appender.kill()
            lines = appender.stdout.readlines()
            acknowledged.extend(line.strip() for line in lines if line.endswith("\n"))
        assert missing(tmp_path, acknowledged) == set()
    assert len(acknowledged) > 200


@pytest.mark.parametrize("at", [40, 61, 97, 140, 333, 1000, 1501])
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, at: int) -> None:
    acknowledged = run_until_power_cut(lossy_disk(tmp_path), APPENDER, _empty(tmp_path), at)
    assert acknowledged or at < 100
    assert missing(tmp_path / "data", acknowledged) == set()


def test_the_disk_really_loses_what_was_not_synced(tmp_path: Path) -> None:
    library = lossy_disk(tmp_path)
    lost = 0
    for at in (333, 1000, 1501):
        acknowledged = run_until_power_cut(library, APPENDER, _empty(tmp_path, f"data-{at}"), at, "sabotage")
        lost += len(missing(tmp_path / f"data-{at}", acknowledged))
    assert lost > 0


def _empty(folder: Path, name: str = "data") -> Path:
    (folder / name).mkdir()
    return folder / name

"""What a commit or a claim on PostgreSQL has acknowledged is there, once and whole, whatever dies: the worker, the server, the line."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contracts.state import PATIENCE, P, lease, posting
from tests.log.lossy import ROOT
from tests.postgres.proxy import Proxy
from tests.postgres.server import Server

from synchromesh.plant.rows import Changes
from synchromesh.postgres.database import database
from synchromesh.state.agreement import StateAway, StateError
from synchromesh.state.postgres.outbox import PostgresOutbox
from synchromesh.state.postgres.store import PostgresState


def batch(position: int) -> list[Changes]:
    """Batches of two partitions that belong together."""
    word = str(position).encode()
    return [
        Changes(
            P,
            position,
            entities={("last", "x"): word, ("order", str(position)): word * 50},
            identities={("mes", str(position)): position},
            postings={(position, 0): posting(position)},
            outbox_added={(position, 0): ("erp", "lane")},
        ),
        Changes("q", position, entities={("last", "x"): word}),
    ]


def missing(address: str, acknowledged: list[str]) -> set[str]:
    """What was acknowledged and is not there; both partitions must stand at the same whole batch."""
    state, outbox = PostgresState(database(address), "plant"), PostgresOutbox(database(address))
    last = state.positions().get(P, 0)
    everything = range(1, last + 1)
    assert state.positions() == ({P: last, "q": last} if last else {})
    assert state.load(P, "last", ["x"]) == state.load("q", "last", ["x"]) == ({"x": str(last).encode()} if last else {})
    told = {("mes", str(position)): position for position in everything}
    assert state.known(P, [("mes", str(position)) for position in range(1, last + 9)]) == told
    assert len(state.load(P, "order", [str(position) for position in everything])) == last
    claimed = {f"claimed {each.position}" for each in outbox.take_over("erp", f"auditor of {last}", {P: last}, 1_000_000).entries}
    ready = outbox.take("erp", "auditor", 4_000, 1)
    assert claimed | {f"claimed {each.position}" for each in ready} == {f"claimed {position}" for position in everything}
    outbox.release([(each.partition, each.position, each.ordinal) for each in ready])
    outbox.close()
    state.close()
    return set(acknowledged) - {f"committed {position}" for position in everything} - claimed


# Commits batches that belong together, claims what became ready, and prints each when it is acknowledged.
WORKER = """
import sys, time
from synchromesh.postgres.database import database
from synchromesh.state.postgres.outbox import PostgresOutbox
from synchromesh.state.postgres.store import PostgresState
from tests.contracts.state import P
from tests.state.test_postgres_durability import batch

state = PostgresState(database(sys.argv[1]), "plant", lease_seconds=0.3)
outbox = PostgresOutbox(database(sys.argv[1]))
while len(epochs := state.attend(f"w{sys.argv[2]}", [P, "q"])) < 2:
    time.sleep(0.05)
position = state.positions().get(P, 0)
outbox.take_over("erp", f"d{sys.argv[2]}", {P: position}, 10_000)
for position in range(position + 1, 1_000_000):
    state.commit(epochs, batch(position))
    print("committed", position, flush=True)
    for each in outbox.take("erp", f"d{sys.argv[2]}", 9, 1):
        print("claimed", each.position, flush=True)
"""


def test_a_worker_killed_at_any_moment_loses_nothing_it_acknowledged_and_leaves_nothing_half_done(postgres: str) -> None:
    acknowledged: list[str] = []
    chance = random.Random(12)
    PostgresState(database(postgres), "plant").close()
    for life in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, postgres, str(life)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as worker:
            assert worker.stdout
            for _ in range(chance.randrange(20, 200)):
                acknowledged.append(worker.stdout.readline().strip())
            worker.kill()
            acknowledged.extend(line.strip() for line in worker.stdout.readlines() if line.endswith("\n"))
        assert missing(postgres, acknowledged) == set()
    assert len(acknowledged) > 60


class Busy:
    """A worker and a dispatcher that go on as their processes do: what is away is tried again, from what is committed."""

    def __init__(self, address: str) -> None:
        self._state = PostgresState(database(address), "plant")
        self._outbox = PostgresOutbox(database(address))
        self._epochs = lease(self._state)
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(2)
        self.acknowledged: list[str] = []
        self.troubles: list[StateError] = []
        self._outbox.take_over("erp", "d", {P: 1}, 1)
        self._running = [self._threads.submit(self._work), self._threads.submit(self._claim)]

    def _again(self, doing: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                doing()
            except StateAway as error:
                self.troubles.append(error)

    def _work(self) -> None:
        self._again(self._commit)

    def _commit(self) -> None:
        position = self._state.positions().get(P, 0)
        while not self._stop.is_set():
            position += 1
            self._state.commit(self._epochs, batch(position))
            self.acknowledged.append(f"committed {position}")

    def _claim(self) -> None:
        self._again(lambda: self.acknowledged.extend(f"claimed {each.position}" for each in self._outbox.take("erp", "d", 9, 1)))

    def more(self) -> None:
        """Wait until something was acknowledged that was not before."""
        before = len(self.acknowledged)
        pause = threading.Event()
        for _ in range(int(PATIENCE * 100)):
            if len(self.acknowledged) > before + 30:
                return
            pause.wait(0.01)
        raise AssertionError(f"nothing is acknowledged any more: {self.troubles[-1:]}")

    def end(self) -> None:
        self._stop.set()
        for each in self._running:
            each.result(3 * PATIENCE)
        self._state.close()
        self._outbox.close()


@pytest.mark.parametrize("again", ["restart", "crash", "cut"])
def test_commits_and_claims_go_on_over_what_happens_to_the_server(postgres_server: Server, postgres: str, again: str) -> None:
    name = postgres.rsplit("/", 1)[1]
    doing: dict[str, Callable[[], object]] = {
        "restart": postgres_server.restart,
        "crash": lambda: (postgres_server.crash(), postgres_server.start()),
        "cut": lambda: postgres_server.cut(name),
    }
    at_work = Busy(postgres)
    try:
        for _ in range(3):
            at_work.more()
            doing[again]()
        at_work.more()
    finally:
        at_work.end()
    assert missing(postgres, at_work.acknowledged) == set()
    claims = [each for each in at_work.acknowledged if each.startswith("claimed")]
    assert len(claims) == len(set(claims)), "nothing is claimed twice"


@pytest.fixture
def line(postgres_server: Server) -> Iterator[Proxy]:
    proxy = Proxy(postgres_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def far(postgres_server: Server, postgres: str, line: Proxy) -> Iterator[PostgresState]:
    """The store at the other end of a line that can fail."""
    # Not encrypted, so that the line knows what it carries.
    state = PostgresState(
        database(postgres.replace(str(postgres_server.port), str(line.port)) + "?sslmode=disable"), "plant", lease_seconds=60
    )
    yield state
    state.close()


def test_a_commit_whose_answer_is_lost_is_found_at_the_next_look(postgres: str, far: PostgresState, line: Proxy) -> None:
    epochs = lease(far)
    far.commit(epochs, batch(1))
    line.lose_the_answer(b"COMMIT")
    with pytest.raises(StateAway):
        far.commit(epochs, batch(2))
    assert far.positions() == {P: 2, "q": 2}
    far.commit(epochs, batch(3))
    assert missing(postgres, ["committed 1", "committed 2", "committed 3"]) == set()


def test_a_batch_whose_answer_is_lost_before_its_commit_is_not_there(postgres: str, far: PostgresState, line: Proxy) -> None:
    epochs = lease(far)
    far.commit(epochs, batch(1))
    line.lose_the_answer(b"order")
    with pytest.raises(StateAway):
        far.commit(epochs, batch(2))
    assert far.positions() == {P: 1, "q": 1}
    far.commit(epochs, batch(2))
    assert missing(postgres, ["committed 1", "committed 2"]) == set()


def test_a_commit_that_the_server_still_works_at_is_not_written_over(
    postgres_server: Server, postgres: str, far: PostgresState, line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is cut while the server commits slowly; the worker looks before it is committed, and comes with the same batch again."""
    epochs = lease(far)
    far.commit(epochs, batch(1))
    postgres_server.run(_SLOW, name=postgres.rsplit("/", 1)[1])
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(far.commit, epochs, batch(2))
        _wait(postgres_server, sleeping, 1)
        line.drop()
        with pytest.raises(StateAway):
            slow.result(PATIENCE)
        assert far.positions() == {P: 1, "q": 1}, "it is not committed yet"
        with pytest.raises(StateAway, match=r"stands at position 2 and not at 1, .* the answer to a commit was lost"):
            far.commit(epochs, batch(2))
    assert far.positions() == {P: 2, "q": 2}
    assert missing(postgres, ["committed 1", "committed 2"]) == set()


# The commit itself takes a second: deferred triggers run inside of it.
_SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON synchromesh.posting DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
"""


def _wait(server: Server, query: str, number: int) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if server.run(query) == [(number,)]:
            return
        pause.wait(0.01)
    raise AssertionError(f"{query} is not {number}")


# Commits, and stands still in the midst of it where it is told: before the server has everything, or before it is told to commit.
STANDING = """
import os, signal, sys
from synchromesh.postgres.database import database
from synchromesh.state.agreement import StateError
from synchromesh.state.postgres import store
from synchromesh.state.postgres.writing import Writing
from tests.contracts.state import P
from tests.state.test_postgres_durability import batch

def stand():
    print("standing", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

statements, check = Writing.statements, store.PostgresState._check

def half(self, changes):
    for number, statement in enumerate(statements(self, changes)):
        yield statement
        if number == 1:
            stand()

def checked(self, *values):
    check(self, *values)
    stand()

if sys.argv[2] == "half written":
    Writing.statements = half
else:
    store.PostgresState._check = checked
state = store.PostgresState(database(sys.argv[1]), "plant", lease_seconds=0.5)
epochs = state.attend("still", [P, "q"])
try:
    state.commit(epochs, batch(1))
    print("committed", flush=True)
except StateError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.mark.parametrize("where", ["half written", "before its commit"])
def test_a_worker_that_stands_still_in_a_commit_is_followed_and_has_written_nothing_when_it_wakes_up(postgres: str, where: str) -> None:
    heir = PostgresState(database(postgres), "plant", lease_seconds=0.5)
    with subprocess.Popen([sys.executable, "-c", STANDING, postgres, where], stdout=subprocess.PIPE, text=True, cwd=ROOT) as still:
        assert still.stdout
        assert still.stdout.readline() == "standing\n"
        started = time.monotonic()
        pause = threading.Event()
        while len(taken := heir.attend("heir", [P, "q"])) < 2:
            assert time.monotonic() < started + PATIENCE
            pause.wait(0.05)
        heir.commit(taken, batch(1))
        assert time.monotonic() - started < 10
        still.send_signal(signal.SIGCONT)
        assert still.stdout.readline() == "StateAway\n"
    heir.commit(taken, batch(2))
    heir.close()
    assert missing(postgres, ["committed 1", "committed 2"]) == set()

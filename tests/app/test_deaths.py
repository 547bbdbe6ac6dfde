"""Processes die at any moment, and nothing is lost, doubled or left running."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.app.installation import PATIENCE, ROLES, Installation, Serve, free_port, gone, installation, report, until

GROUP = 20
ORDERS = [f"47{n:02}" for n in range(6)]


def tell_group(serve: Serve, group: int) -> None:
    """One report for every order, and the last of it told one by one."""
    batch = [report(f"g{group}-{n}", ORDERS[n % len(ORDERS)], str(n + 1)) for n in range(GROUP)]
    serve.tell(batch[:-2])
    for fact in batch[-2:]:
        serve.tell(fact)


def each_once(made: Installation, groups: int) -> None:
    """ERP's books hold one document for every report, and it is the right one."""
    booked: Counter[tuple[str, str]] = Counter()
    for order in ORDERS:
        for document in made.documents(order):
            booked[order, document["lines"][0]["quantity"]["amount"]] += 1
    truth = Counter((ORDERS[n % len(ORDERS)], str(n + 1)) for _ in range(groups) for n in range(GROUP))
    assert booked == truth
    assert made.erp.look("/count")["keys"] == groups * GROUP


def killed(serve: Serve, role: str) -> None:
    """Kill -9 a role, and wait until it runs again."""
    before = serve.roles()[role]
    os.kill(before, signal.SIGKILL)
    until(lambda: serve.roles().get(role, before) != before, f"the new {role}")


def test_every_role_killed_in_turn_while_facts_are_told_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with installation(tmp_path, faults=("--rates", "lost=0.1,late=0.05,unavailable=0.1", "--delay", "0.5")) as made:
        made.port = free_port()
        made.configure()
        made.release(*ORDERS)
        serve = made.serve()
        with telling(serve) as groups:
            for role in (*ROLES, *ROLES):
                killed(serve, role)
        facts = len(groups) * GROUP
        assert facts
        summary = made.settled(serve, facts)
        assert summary["fates"]["booked"] == facts
        each_once(made, len(groups))
        made.verified()
        assert serve.end() == 0


@contextmanager
def telling(serve: Serve) -> Iterator[list[int]]:
    """Tell one group after another until the block ends; the groups that were told."""
    told: list[int] = []
    enough = threading.Event()

    def tell() -> None:
        while not enough.wait(0.05):
            tell_group(serve, len(told))
            told.append(len(told))

    with ThreadPoolExecutor(1) as pool:
        teller = pool.submit(tell)
        try:
            yield told
        finally:
            enough.set()
        teller.result(PATIENCE)


def test_a_supervisor_killed_takes_its_processes_with_it_and_the_next_start_waits_for_them(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        made.release(*ORDERS)
        first = made.serve()
        roles = first.roles()
        tell_group(first, 0)
        first.process.kill()
        second = made.begin()
        second.ready()
        assert [role for role, process in roles.items() if not gone(process)] == []
        tell_group(second, 1)
        made.settled(second, 2 * GROUP)
        each_once(made, 2)
        made.verified()


def test_erp_killed_and_back_is_asked_and_nothing_is_doubled(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        made.release(*ORDERS)
        serve = made.serve()
        tell_group(serve, 0)
        made.erp.kill()
        tell_group(serve, 1)
        assert serve.look("/v1/health/ready")
        with made.erp_again():
            made.settled(serve, 2 * GROUP)
            each_once(made, 2)
        made.verified()

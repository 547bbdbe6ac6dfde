"""What the supervisor makes of roles that die: before all have worked once, and afterwards, when the others must go on."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from synchromesh.app import supervisor as supervising
from synchromesh.app.roles import ROLES
from synchromesh.app.supervisor import Supervisor
from synchromesh.cli.frame import Code

PATIENCE = 30.0
WORKS = """echo '{"role": "any", "address": "http://here"}'; read word"""
"""A role that works until it is told to end."""


class Staged(Supervisor):
    """Roles are small scripts, one for each life; after the last of them a role works. Pauses are noted and not waited for."""

    def __init__(self, **lives: list[str]) -> None:
        super().__init__(Path("nowhere"))
        self.lives = lives
        self.pauses: list[float] = []
        self.waits = False

    async def _spawn(self, role: str) -> Process:
        scripts = self.lives.get(role, [])
        script = scripts.pop(0) if scripts else WORKS
        if script == "no process":
            raise BlockingIOError("Resource temporarily unavailable")
        process = await asyncio.create_subprocess_exec("sh", "-c", script, stdin=PIPE, stdout=PIPE, start_new_session=True)
        self.processes[role] = process
        return process

    async def _rest(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.waits:
            await super()._rest(seconds)


def play(supervisor: Supervisor, story: Callable[[], Coroutine[None, None, None]]) -> None:
    """Play the story to its end and stop everything; nothing may be left running."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            try:
                await story()
            finally:
                await supervisor.stop()

    asyncio.run(bounded())
    assert alive(supervisor) == set()


async def until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 (what is looked at are processes, which set no event)
        await asyncio.sleep(0)


def alive(supervisor: Supervisor) -> set[str]:
    return {role for role, process in supervisor.processes.items() if process.returncode is None}


@pytest.mark.parametrize("role", list(ROLES))
@pytest.mark.parametrize(("code", "tries"), [(1, supervising.TRIES), (3, supervising.TRIES), (2, 1)])
def test_a_role_that_never_comes_up_stops_everything_and_is_named(role: str, code: int, tries: int) -> None:
    supervisor = Staged(**{role: [f"exit {code}"] * 99})

    async def story() -> None:
        with pytest.raises(RuntimeError, match=f"the {role} can't be kept running .it ended with {code}"):
            await supervisor.start()
        assert len(supervisor.lives[role]) == 99 - tries
        assert alive(supervisor) == set()

    play(supervisor, story)


def test_a_role_without_room_is_waited_for() -> None:
    supervisor = Staged(worker=[f"exit {Code.FULL}"] * 20)

    async def story() -> None:
        await supervisor.start()
        assert supervisor.pauses == [supervising.FULL_PAUSE] * 20
        assert supervisor.address == "http://here"
        await supervisor.stop()

    assert (supervising.FULL, supervising.USAGE) == (Code.FULL, Code.USAGE)
    play(supervisor, story)


@pytest.mark.parametrize("role", list(ROLES))
@pytest.mark.parametrize("end", ["exit 1", "exit 2", "exit 3", "kill -9 $$", "no process"])
def test_a_role_that_dies_again_and_again_later_stops_nobody_else(role: str, end: str) -> None:
    supervisor = Staged()

    async def story() -> None:
        await supervisor.start()
        others = {name: process.pid for name, process in supervisor.processes.items() if name != role}
        supervisor.lives[role] = [end] * 12
        first = supervisor.processes[role]
        first.send_signal(signal.SIGKILL)
        await until(lambda: len(supervisor.pauses) == 13 and supervisor.processes[role].returncode is None)
        assert {name: process.pid for name, process in supervisor.processes.items() if name != role} == others
        assert alive(supervisor) == set(ROLES)
        assert supervisor.pauses == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]

    play(supervisor, story)


def test_a_role_that_worked_for_long_is_started_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "QUICK", 0.0)

    supervisor = Staged()

    async def story() -> None:
        await supervisor.start()
        supervisor.lives["worker"] = ["exit 1"] * 12
        supervisor.processes["worker"].send_signal(signal.SIGKILL)
        await until(lambda: not supervisor.lives["worker"])
        assert set(supervisor.pauses) == {0}

    play(supervisor, story)


def test_a_stop_does_not_wait_for_the_end_of_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "FULL_PAUSE", 3600.0)

    supervisor = Staged()

    async def story() -> None:
        supervisor.waits = True
        await supervisor.start()
        supervisor.lives["worker"] = ["exit 4"]
        supervisor.processes["worker"].send_signal(signal.SIGKILL)
        await until(lambda: 3600.0 in supervisor.pauses)

    play(supervisor, story)


def test_what_a_role_prints_beside_its_announcement_disturbs_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    much = f"{sys.executable} -c \"print('x' * 1_000_000)\""
    supervisor = Staged(worker=[f"echo 'a plug-in says hello'; {much}; {WORKS}"])

    async def story() -> None:
        await supervisor.start()
        assert alive(supervisor) == set(ROLES)

    play(supervisor, story)
    assert "a plug-in says hello" in capsys.readouterr().err

"""Long work that somebody asks for over HTTP: a verification, a replay, a rehearsal. Each is a process of its own, so that taking facts in
is not held up by it; one of a kind at a time.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Final, Literal

import msgspec

from synchromesh.app.replaying import Replaying, mapping_of
from synchromesh.app.settings import Settings
from synchromesh.app.verifying import verify
from synchromesh.console.replay import ReplayAsked
from synchromesh.engine.jobs import Busy, JobView
from synchromesh.engine.replay import ReplayRefused, Request, check
from synchromesh.engine.selection import Selection, span_of
from synchromesh.log.agreement import LogError
from synchromesh.mapping.refusal import ManifestError
from synchromesh.state.agreement import Reading, StateError

POLITE: Final = 10
"""How much less than everything else such work matters to the machine (as `nice` counts)."""


class Work(msgspec.Struct, frozen=True):
    """What is to be done. All but the kind is for a replay."""

    kind: Literal["verification", "dry run", "replay", "rehearsal"]
    selection: Selection | None = None
    by: str = ""
    reason: str = ""
    mapping: Literal["current", "ran"] = "current"
    dismissed: bool = False


class Jobs:
    """One kind of work of an installation: at most one at a time, and the last one is remembered. Safe for threads."""

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings = settings
        self._now = now
        self._mutex = threading.Lock()
        self._view = JobView("idle")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, work: Work) -> JobView:
        """Begin. Raises `Busy` while another one runs."""
        with self._mutex:
            if self._view.state == "running":
                raise Busy(f"a {self._view.kind} is running already; look at it, and ask again when it is done")
            process = subprocess.Popen([sys.executable, "-m", "synchromesh.app.jobs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert process.stdin is not None, "it is a pipe"
            assert process.stdout is not None, "it is a pipe"
            process.stdin.write(pickle.dumps((self._settings, work)))
            process.stdin.close()
            self._process = process
            self._view = JobView("running", work.kind, self._now())
            threading.Thread(target=self._listen, args=(process, process.stdout), daemon=True).start()
            return self._view

    def look(self) -> JobView:
        """How far the work has come, or what came of the last one."""
        with self._mutex:
            return self._view

    def stop(self) -> None:
        """End what runs. A replay that is ended has decided for some facts and not for others: it is asked for again."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait()

    def _listen(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        for line in said:
            self._hear(msgspec.json.decode(line, type=Said))
        code = process.wait()
        with self._mutex:
            # What said that it was done may end after the next one has begun.
            if self._process is process and self._view.state == "running":
                self._view = msgspec.structs.replace(
                    self._view, state="failed", ended=self._now(), problem=f"it ended with code {code} before it was done"
                )

    def _hear(self, said: Said) -> None:
        with self._mutex:
            if said.doing:
                self._view = msgspec.structs.replace(self._view, doing=said.doing, done=said.done, end=said.end)
            else:
                state = "failed" if said.problem else "done"
                self._view = msgspec.structs.replace(self._view, state=state, ended=self._now(), result=said.result, problem=said.problem)


class LongWorks:
    """The long work of an installation, as the API asks for it. What can't be meant is refused before anything is begun."""

    def __init__(self, settings: Settings, reading: Reading) -> None:
        self._plants = [plant.id for plant in settings.plants]
        self._reading = reading
        self._replays, self._verifications = Jobs(settings), Jobs(settings)

    def replay(self, asked: ReplayAsked) -> JobView:
        span_of(self._reading, self._plants, asked.select)
        by, reason = (asked.by, asked.reason) if asked.kind == "replay" else (asked.by or "nobody", asked.reason or asked.kind)
        check(Request(by, reason))
        return self._replays.start(Work(asked.kind, asked.select, by, reason, asked.mapping, asked.dismissed))

    def verify(self) -> JobView:
        return self._verifications.start(Work("verification"))

    def replaying(self) -> JobView:
        return self._replays.look()

    def verifying(self) -> JobView:
        return self._verifications.look()

    def stop(self) -> None:
        """End what runs."""
        self._replays.stop()
        self._verifications.stop()


class Said(msgspec.Struct, omit_defaults=True):
    """One line of the process that works: how far it is, or how it ended."""

    doing: str = ""
    done: int = 0
    end: int = 0
    result: object = None
    problem: str = ""


# --- the process that works ------------------------------------------------------------------------------------------------------


def _work(settings: Settings, work: Work, progress: Callable[[str, int, int], None]) -> object:
    if work.kind == "verification":
        return verify(settings, lambda partition, end, position: progress(f"rebuilding {partition}", position, end))
    assert work.selection is not None, "a replay selects something"
    replaying = Replaying(settings)
    request = Request(work.by, work.reason, work.mapping, work.dismissed)
    if work.kind == "rehearsal":
        return replaying.rehearse(work.selection, mapping_of(work.mapping), None, progress)
    done = replaying.live if work.kind == "replay" else replaying.dry_run
    return done(work.selection, request, progress)


def main() -> None:
    """Do the work that is told on stdin, and say on stdout how far it is; a reader who is gone ends it."""
    os.nice(POLITE)
    settings, work = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - our own parent wrote it

    def say(said: Said) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()

    try:
        result = _work(settings, work, lambda doing, done, end: say(Said(doing, done, end)))
    except (ReplayRefused, ManifestError, LogError, StateError, OSError) as error:
        say(Said(problem=str(error)))
    else:
        say(Said(result=msgspec.to_builtins(result)))


if __name__ == "__main__":
    main()

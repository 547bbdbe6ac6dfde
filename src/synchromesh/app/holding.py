"""Who may run on a data folder: one `serve`, or one process of each role. Locks of the system, which frees them when their holder dies.

A supervisor that is killed leaves its processes a moment to end. They hold `parts.lock` with it, so that the next start waits for
them and finds the port free, while a second `serve` beside a living one is refused at once.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

PATIENCE: Final = 25.0
"""Seconds that a start waits for the processes of an earlier one to end."""

LOOK: Final = 0.05


class Holding:
    """The right to run on a folder, until `release` or the end of this process and of those that were handed `parts`.

    Raises `RuntimeError` saying who runs there already, `OSError` when the folder can't be used.
    """

    def __init__(self, folder: Path, role: str, *, apart: bool = False) -> None:
        """Hold the folder for one role, or with '' for all of them. One that is `apart` shares nothing with the others."""
        folder.mkdir(parents=True, exist_ok=True)
        self._held: list[int] = []
        self.parts = -1
        try:
            if apart:
                self._at_once(folder, f"{role}.lock", fcntl.LOCK_EX)
                return
            shared = fcntl.LOCK_SH if role else fcntl.LOCK_EX
            self._at_once(folder, "serve.lock", shared)
            if role:
                self._at_once(folder, f"{role}.lock", fcntl.LOCK_EX)
            self.parts = self._patiently(folder, shared)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let the folder go."""
        while self._held:
            os.close(self._held.pop())

    def _open(self, path: Path) -> int:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._held.append(file)
        return file

    def _at_once(self, folder: Path, name: str, how: int) -> None:
        if not _lock(self._open(folder / name), how):
            raise RuntimeError(
                f"another synchromesh serve runs on the data folder {folder}; stop it first, or set another folder as [synchromesh] data"
            )

    def _patiently(self, folder: Path, how: int) -> int:
        file = self._open(folder / "parts.lock")
        end = time.monotonic() + PATIENCE
        while not _lock(file, how):
            if time.monotonic() > end:
                raise RuntimeError(f"processes of an earlier synchromesh serve still run on the data folder {folder}; end them first")
            time.sleep(LOOK)
        return file


def _lock(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

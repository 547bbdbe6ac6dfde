"""The right to write to a file, fairly among processes.

SQLite lets writers poll for its lock, and who polls at the wrong moment waits for ever beside a busy writer. A blocking
file lock wakes the next one instead. The second lock, the turnstile, is held by the one who is next in line: a process that has
just written and comes back at once must queue behind it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class WriterLock:
    """A lock among the threads of this process and among processes; the system frees it when its holder dies.

    Raises `OSError` when the lock files can't be made. Not reentrant.
    """

    def __init__(self, path: Path) -> None:
        self._thread = threading.Lock()
        self._turnstile = os.open(path.with_name(path.name + ".next"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._main = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            os.close(self._turnstile)
            raise

    def __enter__(self) -> Self:
        self._thread.acquire()
        try:
            fcntl.flock(self._turnstile, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._main, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        except BaseException:
            self._thread.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            fcntl.flock(self._main, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def close(self) -> None:
        """Give the files back. A lock that is held ends with them."""
        os.close(self._main)
        os.close(self._turnstile)

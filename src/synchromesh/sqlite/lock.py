"""The right to write to a file, fairly among processes.

SQLite lets writers poll for its lock, and who polls at the wrong moment waits for ever beside a busy writer. A blocking file lock wakes
who waits longest.
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

    Raises `OSError` when the lock's file can't be made. Not reentrant.
    """

    def __init__(self, path: Path) -> None:
        self._thread = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def __enter__(self) -> Self:
        self._thread.acquire()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._thread.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def close(self) -> None:
        """Give the file back; at most once. A lock that is held ends with it."""
        os.close(self._file)

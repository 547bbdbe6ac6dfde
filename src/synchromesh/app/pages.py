"""Large pages for a process whose memory is many small values.

A worker holds a hundred megabytes of them and touches them in no order, and with pages of 4 KiB the processor spends a tenth of its time on
finding out where they are. Linux gives large pages to who asks for them. Nothing depends on getting any.
"""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PAUSE: Final = 15.0
"""Seconds between two looks: memory grows while a plant is folded."""
LARGE: Final = 2 << 20
FULL: Final = 0.75
"""How much of a region must be in use: a large page of one that is hardly used would be a waste."""
_COLLAPSE: Final = 25
_MAPS: Final = Path("/proc/self/smaps")
_REGION: Final = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) rw-p [0-9a-f]+ 00:00 0 *(\[heap\])?\n(?:\w+: .*\n)*?Rss: +([0-9]+) kB\n")


def keep_large(stop: threading.Event) -> None:
    """Ask for large pages now and then until `stop`; returns at once where the system has none to give."""
    while ask() and not stop.wait(PAUSE):
        pass


def ask() -> bool:
    """Ask for large pages wherever memory is in use; False where the system has none to give."""
    if sys.platform != "linux" or not _MAPS.exists():
        return False
    system = ctypes.CDLL(None)
    system.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start in in_use(_MAPS.read_bytes()):
        # One at a time: others wait for memory meanwhile. What can't be had now is asked for again.
        system.madvise(start, LARGE, _COLLAPSE)
    return True


def in_use(regions: bytes) -> Iterator[int]:
    """Where large pages would begin in a process's own memory, as `/proc/self/smaps` tells of it: in regions that are in use."""
    for first, last, _, resident in _REGION.findall(regions):
        begin, end = int(first, 16), int(last, 16)
        if int(resident) * 1024 >= FULL * (end - begin):
            yield from range(-(-begin // LARGE) * LARGE, end - LARGE + 1, LARGE)

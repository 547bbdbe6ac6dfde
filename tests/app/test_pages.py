"""Large pages are asked for where memory is in use, and nothing depends on getting them."""

from __future__ import annotations

import sys
import threading

import pytest

from synchromesh.app import pages


def region(name: str, resident: int) -> bytes:
    return f"{name}\nSize:               1024 kB\nRss:                {resident} kB\nAnonHugePages:         0 kB\nVmFlags: rd wr\n".encode()


MINE = "7f0000100000-7f0000700000 rw-p 00000000 00:00 0 "


@pytest.mark.parametrize(
    ("name", "resident", "found"),
    [
        (MINE, 6144, [0x7F0000200000, 0x7F0000400000]),
        (MINE, 5000, [0x7F0000200000, 0x7F0000400000]),
        (MINE, 1024, []),
        ("55d500000000-55d500200000 rw-p 00000000 00:00 0                          [heap]", 2048, [0x55D500000000]),
        ("7f0000100000-7f0000700000 rw-p 00000000 fe:00 247278   /usr/lib/x.so", 6144, []),
        ("7f0000100000-7f0000700000 r--p 00000000 00:00 0 ", 6144, []),
        ("7f0000100000-7f0000700000 rw-s 00000000 00:01 77   /dev/zero (deleted)", 6144, []),
        ("7ffd00100000-7ffd00700000 rw-p 00000000 00:00 0                          [stack]", 6144, []),
        ("7f0000100000-7f0000200000 rw-p 00000000 00:00 0 ", 1024, []),
    ],
)
def test_only_memory_in_use_is_asked_for(name: str, resident: int, found: list[int]) -> None:
    other = region("7e0000000000-7e0000400000 r-xp 00000000 fe:00 247278   /usr/lib/y.so", 4096)
    assert list(pages.in_use(other + region(name, resident) + other)) == found


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_what_is_in_memory_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAUSE", 0.0)
    looks: list[int] = []
    stop = threading.Event()
    find = pages.in_use

    def look(regions: bytes) -> list[int]:
        looks.append(len(list(find(regions))))
        if len(looks) == 3:
            stop.set()
        return list(find(regions))

    monkeypatch.setattr(pages, "in_use", look)
    kept = [str(number) * 3 for number in range(200_000)]
    pages.keep_large(stop)
    assert kept == [str(number) * 3 for number in range(200_000)]
    assert len(looks) == 3
    assert max(looks) >= 4

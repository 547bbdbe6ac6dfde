"""What every process of an installation does alike: says when it is ready, stops when told, and ends with its parent."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import msgspec


class Ready(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one line that a process prints on standard output when it works."""

    role: str
    address: str = ""


def announce(ready: Ready) -> None:
    """Tell the supervisor, or the person at the terminal."""
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()


def announcing(ready: Ready) -> Callable[[], None]:
    """Announces when it is first called, by whichever thread."""
    lock, told = threading.Lock(), threading.Event()

    def once() -> None:
        with lock:
            if not told.is_set():
                told.set()
                announce(ready)

    return once


def end_with_parent() -> None:
    """End when standard input does: a supervisor that is killed takes its processes with it."""

    def watch() -> None:
        while os.read(0, 4096):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def stop_event() -> threading.Event:
    """Set by SIGTERM and SIGINT, for processes without an event loop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """As `stop_event`, inside the block; afterwards the signals do what they did before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop_event()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_loop(main: Coroutine[None, None, None]) -> None:
    """Run a process that has an event loop."""
    import uvloop  # noqa: PLC0415 (processes without a loop need not load it)

    # Tasks and futures end by themselves and hardly ever hold cycles: with the usual thresholds a tenth of the time goes into the search.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set the event of the running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

"""The edges keep their promises on the event loop that the product runs on, and on Python's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What pytest-asyncio runs each test of this folder on."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

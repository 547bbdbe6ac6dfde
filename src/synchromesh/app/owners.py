"""The name under which a process owns its share: another one at every start, on every machine."""

from __future__ import annotations

import os
import secrets
import socket


def owner(role: str) -> str:
    """Such as `worker-mill-7-4711-9f3a`: role, machine and process, which people know, and what makes it this life of it."""
    return f"{role}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"

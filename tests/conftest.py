"""What tests of several packages need."""

from __future__ import annotations

from tests.postgres.server import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]

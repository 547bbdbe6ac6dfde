"""Alembic's entry: runs revisions on the connection that `upgrade` hands in."""

from __future__ import annotations

from alembic import context

from synchromesh.state.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()

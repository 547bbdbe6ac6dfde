"""What the page asks of the engine. The command line asks the same, so that nobody is shown two truths."""

from __future__ import annotations

from typing import Protocol

from synchromesh.engine.views import ExceptionView, FactView, Story, Summary, Trace


class Operations(Protocol):
    """Questions about the whole, each answered from one committed moment. Called from a thread: answers may take milliseconds.

    May be called from several threads at a time. Raises `state.agreement.StateError` when the store can't answer.
    """

    def summary(self) -> Summary:
        """Totals by fate, rates, latency, what waits and what is open."""
        ...

    def recent(self, limit: int) -> list[FactView]:
        """The newest facts, newest first."""
        ...

    def exceptions(self, limit: int) -> list[ExceptionView]:
        """The newest open exceptions, newest first."""
        ...

    def story(self, plant: str, position: int) -> Story | None:
        """One fact by its place in the log; `None` when there is no fact at it."""
        ...

    def trace(self, query: str) -> Trace:
        """All that is known of an order, lot, message id or document number; without stories when nothing is."""
        ...

"""The catalogue: every metric and every log line of the product. Nothing is emitted that is not named here.

Names are an agreement with the operator's dashboards and alerts: they change only with a line in the changelog.
"""

from __future__ import annotations

import logging
from typing import Final, Literal

import msgspec


class Metric(msgspec.Struct, frozen=True):
    """One metric: its Prometheus name (with its unit), kind, meaning and labels."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


class LogLine(msgspec.Struct, frozen=True):
    """One log line: its stable name, level, meaning and fields. It always carries all its fields and never others."""

    name: str
    level: int
    help: str
    fields: tuple[str, ...] = ()


FACTS: Final = Metric("synchromesh_facts", "gauge", "Facts by fate; their sum is synchromesh_facts_total.", ("fate",))
FACTS_TOTAL: Final = Metric("synchromesh_facts_total", "counter", "Facts that sources told.")
UNACCOUNTED: Final = Metric("synchromesh_facts_unaccounted", "gauge", "Facts without exactly one fate. Anything but 0 is a broken promise.")
DOCUMENTS: Final = Metric("synchromesh_documents_total", "counter", "Documents that business systems confirmed.")
WAITING: Final = Metric("synchromesh_postings_waiting", "gauge", "Postings in the outbox.")
EXCEPTIONS: Final = Metric("synchromesh_exceptions_open", "gauge", "Exceptions that a person has not resolved.")
RECEIVED_RATE: Final = Metric("synchromesh_received_per_second", "gauge", "Facts received a second, over the last seconds.")
SETTLED_RATE: Final = Metric("synchromesh_settled_per_second", "gauge", "Postings settled a second, over the last seconds.")
LATENCY: Final = Metric(
    "synchromesh_arrival_to_outcome_milliseconds",
    "gauge",
    "From arrival of a fact to its outcome, over the last facts settled.",
    ("quantile",),
)
SYSTEM_WAITING: Final = Metric("synchromesh_system_postings_waiting", "gauge", "Postings in the outbox, by business system.", ("system",))
SYSTEM_REACHABLE: Final = Metric(
    "synchromesh_system_reachable", "gauge", "1 when the business system answers, else 0.", ("system", "grade")
)

METRICS: Final = (
    FACTS,
    FACTS_TOTAL,
    UNACCOUNTED,
    DOCUMENTS,
    WAITING,
    EXCEPTIONS,
    RECEIVED_RATE,
    SETTLED_RATE,
    LATENCY,
    SYSTEM_WAITING,
    SYSTEM_REACHABLE,
)

STARTED: Final = LogLine("process.started", logging.INFO, "The process begins; nothing is received yet.", ("version", "config", "data"))
READY: Final = LogLine("process.ready", logging.INFO, "Everything listens and works. `seconds` since the start.", ("address", "seconds"))
STOPPING: Final = LogLine("process.stopping", logging.INFO, "No new message is taken; what was accepted is finished.", ("reason",))
STOPPED: Final = LogLine("process.stopped", logging.INFO, "All is stored and closed.", ("seconds",))
SYSTEM_LOST: Final = LogLine("system.lost", logging.WARNING, "A business system stopped answering; postings wait.", ("system", "error"))
SYSTEM_BACK: Final = LogLine("system.back", logging.INFO, "A business system answers again.", ("system", "seconds"))
PULL_FAILED: Final = LogLine(
    "pull.failed",
    logging.WARNING,
    "What changed in a business system can't be read; it is tried again, and sending goes on.",
    ("system", "error"),
)
PULL_BACK: Final = LogLine("pull.back", logging.INFO, "What changed in a business system is read again.", ("system", "seconds"))
IN_DOUBT: Final = LogLine(
    "posting.in_doubt", logging.WARNING, "A posting may be booked; the system will be asked.", ("system", "posting", "error")
)
CLAIMS_UNKNOWN: Final = LogLine(
    "claims.unknown",
    logging.WARNING,
    "The file of claims is new or was lost: postings that were ready before may have been sent, and each is asked about.",
    ("plant", "postings", "claims"),
)
QUARANTINED: Final = LogLine(
    "message.quarantined", logging.ERROR, "A message crashed the worker twice and is set aside.", ("plant", "position", "error")
)
STORE_FULL: Final = LogLine("store.full", logging.ERROR, "There is no room to store; messages are refused until there is.", ("error",))
STORE_AWAY: Final = LogLine("store.away", logging.WARNING, "Log or state can't be reached; it is tried again.", ("error",))
STORE_BACK: Final = LogLine("store.back", logging.INFO, "Log and state store again.", ("seconds",))
SHARE: Final = LogLine("share.changed", logging.INFO, "Who does what has changed: this process has these now.", ("owner", "names"))
FENCED: Final = LogLine("worker.fenced", logging.WARNING, "Another worker took over; this one stops writing.", ("owner",))
SENDER_FENCED: Final = LogLine(
    "dispatcher.fenced", logging.WARNING, "Another dispatcher sends to this business system now; this one stops.", ("system", "owner")
)
FILE_TAKEN: Final = LogLine("file.taken", logging.INFO, "A dropped file was read to its end and is in the log.", ("plant", "file", "rows"))
FILE_FAILED: Final = LogLine(
    "file.failed", logging.WARNING, "A dropped file can't be read and was set aside with its reason.", ("plant", "file", "error")
)
FILE_WAITS: Final = LogLine(
    "file.waits", logging.ERROR, "A drop folder or a file in it can't be read, moved or stored; it stays and is tried again.",
    ("plant", "file", "error"),
)  # fmt: skip
REQUEST_REFUSED: Final = LogLine("request.refused", logging.ERROR, "The log can't store what was sent; the source was told so.", ("error",))
REQUEST_FAILED: Final = LogLine(
    "request.failed", logging.ERROR, "A defect in answering; the source was told that nothing is certain.", ("path",)
)
ROLE_ENDED: Final = LogLine(
    "role.ended",
    logging.ERROR,
    "A role ended by itself and is started again, after a pause when it ends again and again; the others go on.",
    ("part", "error", "seconds"),
)
RECONCILED: Final = LogLine(
    "reconciliation.done", logging.INFO, "The schedule compared a plant's books.", ("plant", "scope", "compared", "beyond")
)
RECONCILIATION_FAILED: Final = LogLine(
    "reconciliation.failed", logging.WARNING, "A plant's books can't be compared now; it is tried again.", ("plant", "scope", "error")
)
STATE_EARLIER: Final = LogLine(
    "state.earlier",
    logging.WARNING,
    "A partition's state was begun by an earlier program and lacks what that did not keep.",
    ("partition", "action"),
)
FAILED: Final = LogLine(
    "process.failed", logging.CRITICAL, "A part ended with an error that nothing else handles; the process stops.", ("part", "error")
)

LINES: Final = (
    STARTED,
    READY,
    STOPPING,
    STOPPED,
    SYSTEM_LOST,
    SYSTEM_BACK,
    PULL_FAILED,
    PULL_BACK,
    IN_DOUBT,
    CLAIMS_UNKNOWN,
    QUARANTINED,
    STORE_FULL,
    STORE_AWAY,
    STORE_BACK,
    SHARE,
    FENCED,
    SENDER_FENCED,
    FILE_TAKEN,
    FILE_WAITS,
    REQUEST_REFUSED,
    REQUEST_FAILED,
    FILE_FAILED,
    ROLE_ENDED,
    RECONCILED,
    RECONCILIATION_FAILED,
    STATE_EARLIER,
    FAILED,
)

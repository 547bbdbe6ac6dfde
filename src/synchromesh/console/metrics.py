"""The figures for Prometheus, from the same summary that people see, in the text format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from synchromesh.engine.views import Summary
from synchromesh.observe import names
from synchromesh.observe.names import Metric

_Sample = tuple[Mapping[str, str], float | int]


def exposition(summary: Summary) -> str:
    """The whole page for a scrape. A figure that is not known yet is left out, never 0."""
    return "".join(_block(metric, list(samples)) for metric, samples in _figures(summary))


def _figures(summary: Summary) -> Iterator[tuple[Metric, Iterable[_Sample]]]:
    yield names.FACTS, [({"fate": fate}, n) for fate, n in summary.fates.items()]
    yield names.FACTS_TOTAL, _one(summary.facts)
    yield names.UNACCOUNTED, _one(summary.unaccounted)
    yield names.DOCUMENTS, _one(summary.documents)
    yield names.WAITING, _one(summary.waiting)
    yield names.EXCEPTIONS, _one(summary.exceptions)
    yield names.RECEIVED_RATE, _one(summary.received_rate)
    yield names.SETTLED_RATE, _one(summary.settled_rate)
    if summary.latency is not None:
        yield names.LATENCY, [({"quantile": "0.5"}, summary.latency.p50), ({"quantile": "0.99"}, summary.latency.p99)]
    yield names.SYSTEM_WAITING, [({"system": system.name}, system.waiting) for system in summary.systems]
    yield names.SYSTEM_REACHABLE, [({"system": s.name, "grade": s.grade}, int(s.reachable)) for s in summary.systems]


def _one(value: float | int | None) -> list[_Sample]:
    return [] if value is None else [({}, value)]


def _block(metric: Metric, samples: list[_Sample]) -> str:
    if not samples:
        return ""
    head = f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"
    return head + "".join(f"{metric.name}{_labels(labels)} {value!r}\n" for labels, value in samples)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

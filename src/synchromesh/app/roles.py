"""The roles of an installation, and what must be true before any of them starts."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

import msgspec

from synchromesh.app import process
from synchromesh.app.adapters import Adapters, deciding, drops
from synchromesh.app.binding import same_history, same_log, within_reach
from synchromesh.app.plugins import connector_of
from synchromesh.app.room import LATER, Room
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.edges.files.folder import check
from synchromesh.engine.activation import activations, in_force
from synchromesh.log.agreement import Log
from synchromesh.plant.policy import Policy
from synchromesh.state.agreement import Reading

PAUSE: Final = 1.0
"""Seconds between two looks for room."""


def prepare(settings: Settings) -> None:
    """Open the stores once, so that they exist and are of this program's schema, and activate what has changed since the last start.

    Raises `LogError`, `StateError`, `ManifestError` or `ValueError` saying what is wrong, before anything is taken in.
    """
    stores = Stores(settings)
    log = stores.log()
    try:
        known = _known(stores, log)
    except BaseException:
        log.close()
        raise
    reading = stores.reading()
    try:
        same_history(log.head(), reading.positions(), settings.synchromesh.data)
        differences = {name: connector_of(erp).abilities.differences for name, erp in settings.erps.items()}
        adapters = Adapters(settings)
        for drop in drops(settings):
            check(drop, adapters)
        series = {plant.id: _series(reading, plant.id, known) for plant in settings.plants}
        messages = activations(reading, deciding(settings, adapters, differences, series), datetime.now(UTC))
        if messages:
            log.append(messages)
        stores.worked()
    finally:
        reading.close()
        log.close()


def _known(stores: Stores, log: Log) -> set[str]:
    """The partitions of which it is known what was claimed. Each part of the state is made where there is none yet, and must belong to
    this log and have nothing that lies elsewhere."""
    known, positions = set[str](), dict[str, int]()
    for part in stores.placing.parts:
        with closing(stores.state(part)) as state:
            if bound := state.origin(""):  # first of all: what is not finished yet has no history to look at
                same_log(bound, log.id())
            stores.placing.check(part, set(stands := state.positions()))
            positions |= stands
    within_reach(log, positions)
    for part in stores.placing.parts:
        with closing(stores.state(part)) as state, closing(stores.outbox(part)) as outbox:
            same_log(state.origin(log.id()), log.id())
            known |= {name for name in outbox.known() if stores.placing.of_partition(name) == part}
    return known


def _series(reading: Reading, plant: str, known: Collection[str]) -> str:
    """The series of the plant's log: a new one at its first start, and where the log may be an older copy, so that the business system has
    seen keys of its next positions already: it says so itself, or it is not `known` what was claimed. It is known again when the state has
    come to the new one, so that a start which ends before keeps nothing old."""
    policy, copy = in_force(reading, plant, "policy", plant), in_force(reading, plant, "copy", plant)
    if policy is None or plant not in known or (copy is not None and copy.position > policy.position):
        return secrets.token_hex(4)
    return msgspec.json.decode(policy.content, type=Policy).series


def prepare_when_there_is_room(settings: Settings, stop: threading.Event) -> bool:
    """`prepare`; where the stores have worked before and can't store now, say so once and wait until they can. Whether it is prepared: not
    when `stop` was set meanwhile. Raises as `prepare`; what may work later only at the first start, where a person looks on."""
    first = not Stores(settings).made
    room = Room()
    while not stop.is_set():
        try:
            prepare(settings)
        except LATER as error:
            if first:
                raise
            room.gone(error)
            stop.wait(PAUSE)
            continue
        room.there()
        break
    return not stop.is_set()


# A process loads its own role and no other one, which saves each of them some ten megabytes.


def _worker(settings: Settings) -> None:
    from synchromesh.app.worker import run_worker  # noqa: PLC0415 - as above

    run_worker(settings, process.stop_event())


def _gateway(settings: Settings) -> None:
    from synchromesh.app.gateway import run_gateway  # noqa: PLC0415 - as above

    process.run_loop(run_gateway(settings))


def _dispatcher(settings: Settings) -> None:
    from synchromesh.app.dispatcher import run_dispatcher  # noqa: PLC0415 - as above

    process.run_loop(run_dispatcher(settings))


def _edge(settings: Settings) -> None:
    from synchromesh.app.edge import run_edge  # noqa: PLC0415 - as above

    process.run_loop(run_edge(settings))


ROLES: Final[dict[str, Callable[[Settings], None]]] = {"worker": _worker, "dispatcher": _dispatcher, "gateway": _gateway}
"""What an installation consists of, by name, in the order of starting: who takes in starts last."""

EDGE: Final = "edge"
APART: Final[dict[str, Callable[[Settings], None]]] = {EDGE: _edge}
"""Roles that run where a plant is. They need nothing of the installation to begin."""

"""A death at every step: nights in which the processes die once, at one point after the other."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from synchromesh.sim.deaths import Deaths, Killed
from synchromesh.sim.harness import Night
from synchromesh.sim.profile import PROFILES, Profile
from synchromesh.sim.verdict import Verdict

EVERY = 29
"""Every so many-th point is tried, beginning with another one for each profile; 1 tries them all."""

QUIET = {
    name: msgspec.structs.replace(PROFILES[name], kills=0, stalls=0, by_hand=0, erp={}, orders=1)
    for name in ("calm", "askable", "undone", "gathered", "waiting")
}


@pytest.mark.parametrize(("profile", "first"), [(name, at) for at, name in enumerate(QUIET, 1)])
def test_a_death_at_any_step_changes_nothing_in_the_end(profile: str, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = _play(QUIET[profile], 0, monkeypatch)[1]
    assert steps > 500
    for fatal in range(first, steps, EVERY):
        verdict, _, deaths = _play(QUIET[profile], fatal, monkeypatch)
        assert verdict.ok, f"dead at step {fatal} of {profile}: {verdict}"
        assert deaths == 1


def _play(profile: Profile, fatal: int, patch: pytest.MonkeyPatch) -> tuple[Verdict, int, int]:
    """One night that dies at the step of this number, 0 for none: the verdict, how many steps it had, and how many deaths."""
    steps = 0

    def point(self: Deaths, _: object = None) -> None:
        nonlocal steps
        steps += 1
        if steps == fatal:
            raise Killed

    patch.setattr(Deaths, "point", point)
    night = Night(1, profile)
    verdict = asyncio.run(night.play())
    return verdict, steps, night.processes.deaths

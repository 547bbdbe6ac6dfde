"""What the dispatcher must not be without: each guard is taken away once, and the test that is named with it must fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pytest
from tests.engine import test_dispatcher as sending
from tests.engine import test_limits as limits
from tests.engine.world import World

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.engine import dispatcher, job
from synchromesh.engine.circuit import Circuit
from synchromesh.engine.turns import Turns
from synchromesh.state.memory import MemoryOutbox

Patch = pytest.MonkeyPatch


def send_again_without_asking(patch: Patch) -> None:
    after_reply = job.after_reply

    def blindly(each: job.Job, *arguments: object, **more: object) -> object:
        heard = after_reply(each, *arguments, **more)  # type: ignore[arg-type]
        each.doubtful = False
        return heard

    patch.setattr(dispatcher, "after_reply", blindly)


def ask_before_the_state_knows_what_was_told(patch: Patch) -> None:
    take_over = MemoryOutbox.take_over
    patch.setattr(
        MemoryOutbox,
        "take_over",
        lambda self, target, claimant, heads, limit: take_over(self, target, claimant, dict.fromkeys(heads, 0), limit),
    )


def believe_absence_at_once(patch: Patch) -> None:
    after_finding = job.after_finding

    def hastily(each: job.Job, finding: object, abilities: object, *more: object) -> object:
        return after_finding(each, finding, msgspec.structs.replace(abilities, settle_seconds=0.0), *more)  # type: ignore[arg-type, type-var]

    patch.setattr(dispatcher, "after_finding", hastily)


def count_the_settle_time_from_the_sending(patch: Patch) -> None:
    after_reply = job.after_reply

    def early(each: job.Job, *arguments: object, **more: object) -> object:
        sent = each.sent
        heard = after_reply(each, *arguments, **more)  # type: ignore[arg-type]
        each.sent = sent
        return heard

    patch.setattr(dispatcher, "after_reply", early)


def send_what_another_one_has_taken_over(patch: Patch) -> None:
    patch.setattr(MemoryOutbox, "sends", lambda *_: True)


def never_open_the_circuit(patch: Patch) -> None:
    patch.setattr(Circuit, "silent", lambda *_: False)


def close_the_circuit_at_once(patch: Patch) -> None:
    def answered(self: Circuit) -> None:
        self._troubles, self.blocked_until = 0, 0.0

    patch.setattr(Circuit, "answered", answered)


def ask_for_ever_what_is_never_answered(patch: Patch) -> None:
    patch.setattr(dispatcher, "TRIED_ENOUGH", 10**9)


def try_for_ever(patch: Patch) -> None:
    patch.setattr(job, "_is_tried_enough", lambda *_: False)


def let_outages_count(patch: Patch) -> None:
    note = job._note_failure
    patch.setattr(job, "_note_failure", lambda each, refusal, now, *, probe: note(each, refusal, now, probe=False))


def send_the_longest_queue_first(patch: Patch) -> None:
    def greedily(self: Turns, due: dict[str, object], wanted: int, now: float) -> list[job.Job]:
        longest = max(due.values(), key=len)  # type: ignore[arg-type]
        return [longest.popleft() for _ in range(min(wanted, len(longest)))]  # type: ignore[attr-defined, arg-type]

    patch.setattr(Turns, "draw", greedily)


def claim_of_a_plant_without_end(patch: Patch) -> None:
    patch.setattr(Turns, "full", lambda *_: set())


class Pair(NamedTuple):
    guard_gone: Callable[[Patch], None]
    fails: Callable[[Patch], None]


PAIRS = [
    Pair(send_again_without_asking, lambda _: sending.test_doubt_is_asked_about_and_ends_in_one_document(Grade.ASKABLE, Fault.LOST)),
    Pair(
        ask_before_the_state_knows_what_was_told,
        lambda _: sending.test_what_was_told_before_a_takeover_is_neither_sent_again_nor_asked_about(Grade.ASKABLE, None, "booked"),
    ),
    Pair(believe_absence_at_once, lambda _: sending.test_a_commit_long_after_the_sending_was_given_up_is_not_doubled()),
    Pair(believe_absence_at_once, lambda _: sending.test_a_new_dispatcher_asks_before_it_sends_what_another_had_claimed()),
    Pair(count_the_settle_time_from_the_sending, lambda _: sending.test_a_commit_long_after_the_sending_was_given_up_is_not_doubled()),
    Pair(
        send_what_another_one_has_taken_over,
        lambda _: sending.test_what_a_sleeper_had_claimed_is_not_its_to_send_when_it_wakes_up(Grade.ASKABLE),
    ),
    Pair(send_what_another_one_has_taken_over, lambda _: sending.test_a_sleeper_that_wakes_up_before_a_call_sends_nothing()),
    Pair(
        send_what_another_one_has_taken_over,
        lambda _: sending.test_what_a_sleeper_knows_to_be_unbooked_is_not_told_after_a_takeover(),
    ),
    Pair(never_open_the_circuit, lambda _: sending.test_a_system_that_is_lost_is_tried_by_one_call_at_a_time()),
    Pair(close_the_circuit_at_once, lambda _: limits.test_after_an_outage_calls_grow_step_by_step()),
    Pair(ask_for_ever_what_is_never_answered, lambda _: limits.test_a_question_that_is_never_answered_is_settled_by_a_person()),
    Pair(try_for_ever, lambda _: limits.test_a_lock_that_stays_is_an_exception_in_the_systems_own_words()),
    Pair(try_for_ever, lambda _: limits.test_a_lock_ends_by_time_where_it_is_met_seldom()),
    Pair(let_outages_count, lambda _: limits.test_an_outage_however_long_makes_no_exception(None)),
    Pair(send_the_longest_queue_first, lambda _: limits.test_one_plant_can_not_take_it_all()),
    Pair(send_the_longest_queue_first, lambda _: limits.test_no_more_is_sent_a_second_than_is_allowed()),
    Pair(claim_of_a_plant_without_end, limits.test_a_plant_has_its_own_rate_and_leaves_the_rest_to_others),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.guard_gone.__name__)
def test_without_its_guard_the_test_fails(pair: Pair, monkeypatch: Patch) -> None:
    pair.guard_gone(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        pair.fails(monkeypatch)
    World.made.clear()  # a world without a guard keeps no laws

"""Each law broken on purpose: the simulation must catch every sabotage within 50 seeds."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.inprocess import InProcess
from synchromesh.engine import dispatcher as dispatching
from synchromesh.engine import job as jobs
from synchromesh.engine.reader import Reader
from synchromesh.model import tally
from synchromesh.model.event import OperationCompleted
from synchromesh.model.message import Record
from synchromesh.model.posting import Fate, Posting, PostingKind, Reply
from synchromesh.plant import (
    corrections,
    decisions,
    exceptions,
    fates,
    fold,
    lanes,
    lots,
    outcomes,
    outside,
    paged,
    periods,
    postings,
    production,
    release,
    repair,
    rules,
    stock,
    takeback,
    waiting,
)
from synchromesh.plant import replay as replaying
from synchromesh.plant.act import Act
from synchromesh.plant.entities import Balance, Item, Lane, Order, Pages
from synchromesh.plant.fact import FOR_EVER, Told
from synchromesh.plant.view import Effect, View
from synchromesh.sim.deaths import MortalConnector
from synchromesh.sim.harness import run_seed
from synchromesh.sim.processes import Livelock, Processes
from synchromesh.sim.profile import PROFILES, ROUGH, Profile
from synchromesh.state.agreement import Changes, TakenOver
from synchromesh.state.memory import MemoryOutbox, MemoryState

SEEDS = 50
Patch = pytest.MonkeyPatch


def acknowledge_before_durable(patch: Patch) -> None:
    """Law 1: the source hears "received" though the process died before the append."""
    accept = Processes.accept
    patch.setattr(Processes, "accept", lambda self, message: accept(self, message) or True)


def position_before_state(patch: Patch) -> None:
    """Law 2: the position is committed first, and the process may die before the state follows."""
    commit = MemoryState.commit

    def torn(self: MemoryState, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        commit(self, epochs, [Changes(partition=each.partition, position=each.position, now=each.now) for each in batch])
        commit(self, epochs, batch)

    patch.setattr(MemoryState, "commit", torn)


def state_before_position(patch: Patch) -> None:
    """Law 2: the state is committed first; after a death the batch is folded again."""
    commit = MemoryState.commit

    def torn(self: MemoryState, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        known = self.positions()
        behind = [msgspec.structs.replace(each, position=known.get(each.partition, 0)) for each in batch]
        commit(self, epochs, behind)
        commit(self, epochs, [Changes(partition=each.partition, position=each.position, now=each.now) for each in batch])

    patch.setattr(MemoryState, "commit", torn)


def new_key_at_every_sending(patch: Patch) -> None:
    """Law 3: a posting that is sent again goes out under another key."""
    post = MortalConnector.post
    sent: dict[str, int] = {}

    async def renamed(self: MortalConnector, contents: Sequence[Posting]) -> list[Reply]:
        fresh = []
        for content in contents:
            sent[content.key] = sent.get(content.key, -1) + 1
            fresh.append(msgspec.structs.replace(content, key=f"{content.key}#{sent[content.key]}"))
        replies = await post(self, fresh)
        return [msgspec.structs.replace(reply, key=content.key) for reply, content in zip(replies, contents, strict=True)]

    patch.setattr(MortalConnector, "post", renamed)


def resend_blindly(patch: Patch) -> None:
    """Law 4: what may be booked is sent again without asking."""
    after_reply = jobs.after_reply

    def blind(job: jobs.Job, *arguments: object, **more: object) -> Reply | None:
        heard = after_reply(job, *arguments, **more)  # type: ignore[arg-type]
        job.doubtful = False
        return heard

    patch.setattr(dispatching, "after_reply", blind)


def believe_absence_at_once(patch: Patch) -> None:
    """Law 4: "not found" is taken for "not booked" while the first request may still run."""
    init = InProcess.__init__

    def hasty(self: InProcess, *arguments: object) -> None:
        init(self, *arguments)  # type: ignore[arg-type]
        self.abilities = msgspec.structs.replace(self.abilities, settle_seconds=0.0)

    patch.setattr(InProcess, "__init__", hasty)


def forget_claims(patch: Patch) -> None:
    """After a death nobody asks about what was claimed."""
    patch.setattr(MemoryOutbox, "take_over", lambda _, target, claimant, heads, limit: TakenOver([], list(heads)))


def let_the_followed_one_send(patch: Patch) -> None:
    """A dispatcher that stood still goes on sending what another one has taken over."""
    take = MemoryOutbox.take

    def unfenced(self: MemoryOutbox, target: str, *arguments: object, **more: object) -> object:
        self._store.senders.pop(target, None)
        return take(self, target, *arguments, **more)  # type: ignore[arg-type]

    patch.setattr(MemoryOutbox, "take", unfenced)
    patch.setattr(MemoryOutbox, "sends", lambda *_: True)


def take_silence_for_success(patch: Patch) -> None:
    """A request without an answer counts as posted."""
    post = MortalConnector.post

    async def hopeful(self: MortalConnector, contents: Sequence[Posting]) -> list[Reply]:
        replies = await post(self, contents)
        return [Reply(reply.key, Fate.POSTED, "200") if reply.fate is Fate.DOUBT else reply for reply in replies]

    patch.setattr(MortalConnector, "post", hopeful)


def take_refusal_for_success(patch: Patch) -> None:
    """Whatever ERP answers counts as posted."""
    post = MortalConnector.post

    async def deaf(self: MortalConnector, contents: Sequence[Posting]) -> list[Reply]:
        replies = await post(self, contents)
        return [Reply(reply.key, Fate.POSTED, "200") if reply.fate is Fate.REJECTED else reply for reply in replies]

    patch.setattr(MortalConnector, "post", deaf)


def drop_lane_order(patch: Patch) -> None:
    """Law 5: everything in a lane is sent at once, whatever stands before it."""
    promote = lanes.promote

    def rush(view: View, lane: Lane) -> None:
        promote(view, lane)
        for id_ in lane.queue[1:]:
            row = view.posting(id_)
            if row is not None and row.state == "waiting":
                row.state, row.waits_for = "ready", ""
                view.put_posting(row)
                view.send(id_, row)

    patch.setattr(lanes, "promote", rush)


def drop_on_error(patch: Patch) -> None:
    """Law 6: what can't be booked is forgotten, and nobody is told."""
    patch.setattr(exceptions, "open_fact", lambda *_: None)


def drop_refusals(patch: Patch) -> None:
    """Law 6: a refusal of ERP opens no exception."""
    patch.setattr(exceptions, "open_for", lambda *_: None)


def round_each_report(patch: Patch) -> None:
    """Law 7: each report is rounded, not the total."""
    add = postings.add

    def coarse(lane: Lane, key: str, item: Item, amount: Decimal, unit: str) -> None:
        exact = postings.total_in({unit: amount}, item.unit, item)
        step = 10**item.decimals
        add(lane, key, item, Decimal(round(Fraction(exact) * step)).scaleb(-item.decimals), item.unit)

    patch.setattr(production, "add", coarse)


def ignore_repeats(patch: Patch) -> None:
    """Identity: a message that comes again is a new fact."""
    patch.setattr(View, "known", lambda *_: None)


def tell_facts_apart_by_content(patch: Patch) -> None:
    """Identity: two reports that say the same are taken for one."""
    read = Reader.read

    def by_content(self: Reader, record: Record) -> Told:
        told = read(self, record)
        if told.own or record.message.occurred is None:
            return told
        return msgspec.structs.replace(told, source="content", id=hashlib.sha256(record.message.body).hexdigest())

    patch.setattr(Reader, "read", by_content)


def believe_the_second_telling(patch: Patch) -> None:
    """Identity: a key that comes back with other content is taken for a repeat."""
    repeated = fold._repeated

    def trusting(view: View, told: Told, first: int) -> None:
        original = view.fact(first)
        repeated(view, told if original is None else msgspec.structs.replace(told, told=original.told), first)

    patch.setattr(fold, "_repeated", trusting)


def never_resume(patch: Patch) -> None:
    """What waits by name is not told that the thing has come."""
    patch.setattr(waiting, "arrived", lambda *_: None)


def correct_by_adding(patch: Patch) -> None:
    """A correction is booked on top of what it corrects."""
    patch.setattr(corrections, "current", lambda *_: ((), 0))


def complete_too_early(patch: Patch) -> None:
    """The end of an order does not wait for facts of the order that wait."""
    patch.setattr(waiting, "wait", _without_counting(waiting.wait))


def _without_counting(wait: Callable[..., None]) -> Callable[..., None]:
    def careless(view: View, row: object, name: str, order: str) -> None:
        wait(view, row, name, order)
        known = view.order(order) if order else None
        if known is not None:
            known.waiting = 0

    return careless


def commit_without_outgoing_work(patch: Patch) -> None:
    """Law 2: now and then the state is committed and its outgoing work is not."""
    commit = MemoryState.commit

    def idle(self: MemoryState, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        for each in batch:
            if each.position % 7 == 0:
                each.outbox_added.clear()
        commit(self, epochs, batch)

    patch.setattr(MemoryState, "commit", idle)


def dismiss_half_a_pair(patch: Patch) -> None:
    """A dismissed reversal leaves behind what was to be booked in the place of what it takes back."""
    patch.setattr(repair, "_rebooked", lambda *_: [])


def lose_an_edge(patch: Patch) -> None:
    """Of several lots that went into another one, the last is forgotten."""
    made_from = lots.made_from
    patch.setattr(lots, "made_from", lambda view, act, item, lot, parents, sign: made_from(view, act, item, lot, list(parents)[:-1], sign))


def keep_edges_that_a_correction_takes_back(patch: Patch) -> None:
    """A lot that a correction says did not go into another one stays among what that was made from."""
    made_from = lots.made_from
    patch.setattr(lots, "made_from", lambda view, act, item, lot, parents, sign: made_from(view, act, item, lot, parents, 1))


def forget_what_lots_went_into(patch: Patch) -> None:
    """A lot knows what it was made from, and no lot what it went into."""
    append = paged.append

    def forgetful(view: View, name: str, value: str) -> Pages:
        return Pages() if name.startswith("children:") else append(view, name, value)

    patch.setattr(paged, "append", forgetful)


def confirm_twice(patch: Patch) -> None:
    """What was done at an operation is confirmed twice."""
    add = production.add

    def doubled(lane: Lane, key: str, item: Item, amount: Decimal, unit: str) -> None:
        add(lane, key, item, amount * 2 if key.startswith(PostingKind.CONFIRMATION) else amount, unit)

    patch.setattr(production, "add", doubled)


def keep_times_that_a_correction_takes_back(patch: Patch) -> None:
    """A difference of work times is never negative."""
    seconds_due = takeback.seconds_due

    def growing(view: View, lane: Lane, operation: str) -> tuple[int, int]:
        labour, machine = seconds_due(view, lane, operation)
        return max(labour, 0), max(machine, 0)

    patch.setattr(takeback, "seconds_due", growing)


def lose_times_that_a_correction_leaves(patch: Patch) -> None:
    """A confirmation that is booked again has none of the times that it had."""
    patch.setattr(takeback, "_retime", lambda *_: (0, 0))


def ignore_closed_periods(patch: Patch) -> None:
    """What ERP says of its posting periods is not listened to."""
    patch.setattr(periods, "closed", lambda *_: False)


def forget_the_day_of_the_fact(patch: Patch) -> None:
    """What is booked on the first open day does not say on which day it happened."""
    book_on = periods.book_on
    patch.setattr(periods, "book_on", lambda view, day: (book_on(view, day)[0], None))


def wait_for_ever(patch: Patch) -> None:
    """What waits for a period is not told that it has opened."""
    patch.setattr(periods, "freed", _nothing_freed)


def _nothing_freed(view: View, name: str) -> list[tuple[int, int]]:
    view.drop("list", name)
    return []


def link_facts_twice(patch: Patch) -> None:
    """A fact that has waited is linked into the chain of its order though it stands there."""
    chain = fold._chain
    patch.setattr(fold, "_chain", lambda view, row, chained=False: chain(view, row, bool(chained and row.previous)))


def hide_what_is_late(patch: Patch) -> None:
    """What waits too long is shown to nobody."""
    patch.setattr(waiting, "late", lambda *_: None)


def believe_that_cancelled_documents_stand(patch: Patch) -> None:
    """What others cancel in ERP does not move the books as the plant knows them."""
    move_booked = stock.move_booked

    def one_way(view: View, changes: list[Effect], sign: int) -> None:
        if sign > 0:
            move_booked(view, changes, sign)

    patch.setattr(stock, "move_booked", one_way)


def keep_claims(patch: Patch) -> None:
    """What a posting claims of stock stays claimed when it is booked."""
    expect = stock.expect

    def jealous(view: View, changes: list[Effect], sign: int) -> None:
        if sign > 0:
            expect(view, changes, sign)

    patch.setattr(stock, "expect", jealous)


def count_operations_once_only(patch: Patch) -> None:
    """What a correction takes back stays counted at its operation."""
    count = production._count_operation
    patch.setattr(production, "_count_operation", lambda order, event, sign: count(order, event, sign) if sign > 0 else None)


def send_doubt_again(patch: Patch) -> None:
    """A release sends again what may be booked already."""
    patch.setattr(repair, "may_go_again", lambda row: row.state in ("rejected", "in doubt", "reversed outside") and not row.successor)


def tell_what_differs_again(patch: Patch) -> None:
    """A fact that came again with other content is booked when a person tries it again."""
    patch.setattr(repair, "Category", types.SimpleNamespace(DUPLICATE="nothing"))


def release_without_closing(patch: Patch) -> None:
    """What was told again stays counted as an exception."""
    patch.setattr(repair.exceptions, "close", lambda view, id_, state="resolved": None)


def book_what_is_too_old(patch: Patch) -> None:
    """A fact is booked however old it is."""
    unusable = fold._unusable
    patch.setattr(fold, "_unusable", lambda view, told, horizon, age: unusable(view, told, horizon, min(age, 0)))


def book_what_has_no_time(patch: Patch) -> None:
    """A fact that has no time of its own is booked as one of now."""
    unusable = fold._unusable

    def timeless(view: View, told: Told, horizon: int, age: int) -> object:
        return unusable(view, told, FOR_EVER if told.occurred is None else horizon, age)

    patch.setattr(fold, "_unusable", timeless)


def book_the_future(patch: Patch) -> None:
    """A fact is booked however far its clock is ahead."""
    unusable = fold._unusable
    patch.setattr(fold, "_unusable", lambda view, told, horizon, age: unusable(view, told, horizon, max(age, 0)))


def wait_for_no_stock(patch: Patch) -> None:
    """What needs stock is sent at once, whether or not the books cover it."""
    patch.setattr(stock, "must_wait", lambda *_: [])


def wait_for_stock_without_end(patch: Patch) -> None:
    """Patience never ends."""
    patch.setattr(postings, "lose_patience", lambda *_: None)


def believe_stale_refusals(patch: Patch) -> None:
    """A refusal undoes a booking, whichever sending it was the answer to."""
    patch.setattr(outcomes, "_takes_back", lambda row, outcome: row.state == "posted" and outcome.fate is Fate.REJECTED)


def take_back_by_the_orders_terms_of_today(patch: Patch) -> None:
    """What an order meant when a fact was told is forgotten when the fact is corrected."""
    patch.setattr(Order, "as_of", lambda self, _: self)


def take_back_by_the_policy_of_today(patch: Patch) -> None:
    """What the policy was when a fact was told is forgotten when the fact is corrected."""
    patch.setattr(View, "policy_at", lambda self, _: self.policy)


def complete_before_what_goes_on(patch: Patch) -> None:
    """The end of an order does not wait for what waited for the order and has still to go on."""
    patch.setattr(waiting, "for_order", lambda *_: False)


def decide_alone(patch: Patch) -> None:
    """A decision that needs a second person takes effect at once."""
    patch.setattr(decisions, "VERBS", dict.fromkeys(decisions.VERBS, "nothing"))


def approve_what_is_ones_own(patch: Patch) -> None:
    """Who proposed something may approve it."""
    proposed = decisions._proposed

    def by_nobody(view: View, position: int) -> object:
        found = proposed(view, position)
        return found if found is None else msgspec.structs.replace(found, by="nobody")

    patch.setattr(decisions, "_proposed", by_nobody)


def release_without_end(patch: Patch) -> None:
    """What was released is worked off for ever."""
    patch.setattr(release, "step", _worked_off_never(release.step))


def _worked_off_never(step: Callable[..., bool]) -> Callable[..., bool]:
    def endless(*arguments: object) -> bool:
        step(*arguments)
        return False

    return endless


def resume_what_was_taken_back(patch: Patch) -> None:
    """A fact that was cancelled while it waited is booked when the thing arrives."""
    told = waiting.paged.take

    def undone(view: View, name: str) -> list[str]:
        taken = told(view, name)
        for text in taken if name.startswith(waiting.WAITING) else ():
            row = view.fact(int(text))
            if row is not None and row.fate == "recorded":
                view.move(fates.Fate.RECORDED, fates.Fate.WAITING, 1)
                row.fate, row.reference = fates.Fate.WAITING, name.removeprefix(waiting.WAITING)
        return taken

    patch.setattr(waiting, "paged", types.SimpleNamespace(take=undone, append=paged.append, remove=paged.remove))


def count_what_is_reported_elsewhere(patch: Patch) -> None:
    """What was consumed or made is counted as reported at another place."""
    place = production.place
    patch.setattr(production, "place", lambda item, _, *rest: place(item, "", *rest))


def count_what_is_reported_twice(patch: Patch) -> None:
    """What was reported of stock is counted twice."""
    add, balance = tally.add, View.balance
    reported: list[object] = []

    def noted(self: View, key: str) -> Balance:
        found = balance(self, key)
        reported.append(found.reported)
        return found

    def doubled(sums: tally.Tally, amount: Decimal, unit: str) -> None:
        add(sums, amount * 2 if reported and sums is reported[-1] else amount, unit)

    patch.setattr(View, "balance", noted)
    patch.setattr(production, "tally", types.SimpleNamespace(**{**vars(tally), "add": doubled}))


def book_again_behind(patch: Patch) -> None:
    """What others cancelled is booked again behind what was decided since."""
    patch.setattr(lanes, "decided_after", lambda *_: None)


def forget_what_a_person_corrects(patch: Patch) -> None:
    """What a person says that a fact should have been is written into the audit trail, and told to nobody."""
    patch.setattr(decisions, "_repair", lambda view, event, received, by: True)


def correct_for_the_day_of_the_decision(patch: Patch) -> None:
    """What a person says that a fact should have been counts for the day on which they say so."""
    patch.setattr(decisions, "moment", lambda micros: datetime(2026, 3, 9, tzinfo=UTC))


def read_again_what_was_read(patch: Patch) -> None:
    """A fact that is booked says by a mended mapping what it said before."""
    judge = replaying.judge

    def same(view: View, event: object) -> object:
        verdict = judge(view, event)  # type: ignore[arg-type]
        return replaying.SAME if verdict.course is replaying.Course.CORRECTED else verdict

    patch.setattr(replaying, "judge", same)


def read_again_beside_what_was_read(patch: Patch) -> None:
    """What a message says when it is read again is booked beside what it said before."""
    patch.setattr(replaying, "_correct", replaying._tell_anew)


def take_a_repeat_for_another_message(patch: Patch) -> None:
    """A message that was read again and comes once more is compared with what it says now only."""
    patch.setattr(fold, "_said", lambda *_: False)


def leave_gathers_open_at_an_operations_end(patch: Patch) -> None:
    """The end of an operation makes no documents of what was gathered there."""
    require, apply = rules.RULES[OperationCompleted]

    def silent(view: View, act: Act, event: OperationCompleted, sign: int) -> None:
        apply(view, act, event, sign)
        act.closes.clear()

    patch.setitem(rules.RULES, OperationCompleted, (require, silent))


def warn_of_nothing(patch: Patch) -> None:
    """Nobody is told that others have booked in ERP what is about to be sent again."""
    patch.setattr(outside, "lookalikes", lambda *_: [])


def wait_for_the_end_for_ever(patch: Patch) -> None:
    """What waits again for the thing that it had waited for is looked at again without end."""
    resume = waiting.resume
    patch.setattr(waiting, "resume", lambda *arguments: resume(*arguments) or True)


def forget_some_of_a_release(patch: Patch) -> None:
    """Of what a release listed, the last is forgotten."""
    patch.setattr(release, "paged", types.SimpleNamespace(take=lambda view, name: paged.take(view, name)[:-1], append=paged.append))


RESTLESS = {grade: msgspec.structs.replace(PROFILES[grade], revenants=0.4, stalls=0.1) for grade in ("askable", "blind")}
STUBBORN = msgspec.structs.replace(PROFILES["reversals"], erp={**ROUGH, Fault.DECLINED: 0.45}, rash=0.6)
CROWDED = msgspec.structs.replace(PROFILES["rough"], kills=0.03)


@pytest.mark.parametrize(
    ("sabotage", "profile"),
    [
        (acknowledge_before_durable, CROWDED),
        (position_before_state, CROWDED),
        (state_before_position, CROWDED),
        (new_key_at_every_sending, PROFILES["rough"]),
        (resend_blindly, PROFILES["askable"]),
        (believe_absence_at_once, PROFILES["askable"]),
        (forget_claims, CROWDED),
        (let_the_followed_one_send, RESTLESS["askable"]),
        (let_the_followed_one_send, RESTLESS["blind"]),
        (take_silence_for_success, PROFILES["rough"]),
        (take_refusal_for_success, PROFILES["rough"]),
        (drop_lane_order, PROFILES["rough"]),
        (drop_on_error, PROFILES["rough"]),
        (drop_refusals, PROFILES["rough"]),
        (round_each_report, PROFILES["calm"]),
        (ignore_repeats, PROFILES["rough"]),
        (tell_facts_apart_by_content, PROFILES["rough"]),
        (believe_the_second_telling, PROFILES["rough"]),
        (never_resume, PROFILES["rough"]),
        (correct_by_adding, PROFILES["calm"]),
        (complete_too_early, PROFILES["rough"]),
        (commit_without_outgoing_work, PROFILES["rough"]),
        (dismiss_half_a_pair, STUBBORN),
        (keep_claims, PROFILES["calm"]),
        (count_operations_once_only, PROFILES["calm"]),
        (link_facts_twice, msgspec.structs.replace(PROFILES["rough"], rash=0)),
        (hide_what_is_late, PROFILES["rough"]),
        (believe_that_cancelled_documents_stand, PROFILES["rough"]),
        (ignore_closed_periods, PROFILES["moved"]),
        (ignore_closed_periods, PROFILES["waiting"]),
        (ignore_closed_periods, PROFILES["asking"]),
        (forget_the_day_of_the_fact, PROFILES["moved"]),
        (wait_for_ever, PROFILES["waiting"]),
        (lose_an_edge, PROFILES["rough"]),
        (forget_what_lots_went_into, PROFILES["rough"]),
        (keep_edges_that_a_correction_takes_back, PROFILES["rough"]),
        (send_doubt_again, msgspec.structs.replace(PROFILES["desk"], grade=Grade.BLIND)),
        (tell_what_differs_again, PROFILES["desk"]),
        (release_without_closing, PROFILES["desk"]),
        (wait_for_no_stock, PROFILES["scarce"]),
        (wait_for_stock_without_end, PROFILES["scarce"]),
        (book_what_is_too_old, PROFILES["odd"]),
        (book_what_has_no_time, PROFILES["odd"]),
        (book_the_future, PROFILES["odd"]),
        (complete_before_what_goes_on, PROFILES["piled up"]),
        (decide_alone, PROFILES["two minds"]),
        (approve_what_is_ones_own, PROFILES["two minds"]),
        (book_again_behind, PROFILES["cancelled"]),
        (forget_some_of_a_release, PROFILES["desk"]),
        (release_without_end, PROFILES["desk"]),
        (forget_what_a_person_corrects, PROFILES["misspoken"]),
        (correct_for_the_day_of_the_decision, PROFILES["misspoken"]),
        (take_a_repeat_for_another_message, PROFILES["misspoken"]),
        (read_again_what_was_read, PROFILES["misread"]),
        (read_again_beside_what_was_read, PROFILES["misread"]),
        (wait_for_the_end_for_ever, PROFILES["misread"]),
        (correct_by_adding, PROFILES["put right by reversals"]),
        (leave_gathers_open_at_an_operations_end, PROFILES["operations"]),
        (warn_of_nothing, PROFILES["booked instead"]),
        (resume_what_was_taken_back, PROFILES["rough"]),
        (count_what_is_reported_elsewhere, PROFILES["rough"]),
        (count_what_is_reported_twice, PROFILES["rough"]),
        (believe_stale_refusals, PROFILES["odd"]),
        (take_back_by_the_orders_terms_of_today, PROFILES["reformed"]),
        (take_back_by_the_policy_of_today, PROFILES["reformed"]),
        (confirm_twice, PROFILES["confirmed"]),
        (keep_times_that_a_correction_takes_back, PROFILES["confirmed"]),
        (lose_times_that_a_correction_leaves, PROFILES["undone"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_simulation_catches(sabotage: Callable[[Patch], None], profile: Profile, monkeypatch: Patch) -> None:
    sabotage(monkeypatch)
    assert any(_caught(seed, profile) for seed in range(SEEDS)), f"{SEEDS} seeds did not notice: {sabotage.__doc__}"


def _caught(seed: int, profile: Profile) -> bool:
    try:
        return not run_seed(seed, profile).ok
    except (AssertionError, Livelock, KeyError, ValueError):
        return True  # the sabotaged system fell down by itself, which nobody overlooks

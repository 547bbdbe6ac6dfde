"""A short run of chaos on each engine, and runs in which a law is broken on purpose: those must not go unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.run import Outcome, Plan, run

from synchromesh.connectors.agreement import Grade

FAST = (Grade.UNIQUE, Grade.ASKABLE)
"""Systems that can be asked: with them nobody has to wait for people."""


def words(outcome: Outcome) -> str:
    """What a person needs who looks for the defect."""
    return "\n".join([*outcome.judged.findings, *outcome.deaths, *outcome.log])


@pytest.mark.slow
def test_files_of_one_machine_under_chaos(tmp_path: Path) -> None:
    outcome = run(Plan(seed=2, seconds=12, rate=40, pause=0.7, grades=FAST), tmp_path)
    assert outcome.ok, words(outcome)
    assert outcome.judged.facts > 100
    assert sum(outcome.faults.values()) > 5


@pytest.mark.slow
def test_postgresql_and_jetstream_under_chaos(tmp_path: Path) -> None:
    plan = Plan(seed=3, seconds=8, log="jetstream", state="postgres", rate=40, pause=0.6, patience=12)
    outcome = run(plan, tmp_path)
    assert outcome.ok, words(outcome)
    assert outcome.judged.facts > 100
    assert sum(outcome.faults.values()) > 5


@pytest.mark.slow
def test_a_worker_that_does_not_ask_for_its_epoch_is_found(tmp_path: Path) -> None:
    sabotage = {"worker": "write without epoch"}
    plan = Plan(
        seed=4,
        seconds=25,
        log="postgres",
        state="postgres",
        rate=60,
        pause=2.0,
        grades=FAST,
        sabotage=sabotage,
        faults=("freeze worker",),
        rest=10,
    )
    assert not run(plan, tmp_path).judged.ok


@pytest.mark.slow
def test_a_dispatcher_that_sends_again_without_asking_is_found(tmp_path: Path) -> None:
    sabotage = {"dispatcher": "resend after takeover"}
    faults = ("kill sending",)
    plan = Plan(5, 15, rate=60, pause=2.0, grades=(Grade.ASKABLE,), sabotage=sabotage, faults=faults, latency=0.1, rest=6)
    findings = run(plan, tmp_path).judged.findings
    assert any("doubled" in finding for finding in findings), findings


@pytest.mark.slow
def test_a_gateway_that_answers_too_early_is_found(tmp_path: Path) -> None:
    sabotage = {"gateway": "acknowledge first"}
    plan = Plan(seed=6, seconds=12, rate=60, pause=1.5, grades=FAST, sabotage=sabotage, faults=("kill gateway",), rest=6)
    findings = run(plan, tmp_path).judged.findings
    assert any("lost" in finding for finding in findings), findings

"""`synchromesh schema` describes every event that a source may tell, and no other."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from synchromesh.cli import run
from synchromesh.cli.frame import Code
from synchromesh.model.event import EXTERNAL, OwnEvent


def test_every_event_of_a_source_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == Code.OK
    document = json.loads(capsys.readouterr().out)
    assert document["$schema"].endswith("2020-12/schema")
    described = {part["properties"]["type"]["enum"][0] for part in document["$defs"].values() if "type" in part.get("properties", {})}
    assert {struct.__struct_config__.tag for struct in get_args(EXTERNAL)} <= described
    assert not described & {struct.__struct_config__.tag for struct in get_args(OwnEvent)}

"""Manifests: a wrong one is refused when it is loaded, with file, key and the nearest right name."""

from datetime import timedelta

import pytest
from tests.mapping.world import HEAD, REPORT, adapter, message, write

from synchromesh.mapping.adapter import load_adapter
from synchromesh.mapping.manifest import duration
from synchromesh.mapping.refusal import ManifestError

GOOD = {"id": 1, "order": "4711", "good": 3, "unit": "EA"}


@pytest.mark.parametrize(
    ("manifest", "key", "why"),
    [
        ("= nonsense", "", "is not TOML"),
        ("horizn = '7d'", "horizn", "did you mean 'horizon'"),
        ("name = 5", "version", "is missing"),
        (HEAD + REPORT, "format", "is missing"),
        (HEAD + 'format = "xml"' + REPORT, "format", "Invalid enum value 'xml'"),
        (HEAD.replace("7d", "7 moons") + 'format = "json"' + REPORT, "horizon", "not a duration"),
        (HEAD.replace('"demo"', '"de mo"') + 'format = "json"' + REPORT, "name", "matching regex"),
        (HEAD + 'format = "json"\nzone = "Europe/Olso"' + REPORT, "zone", "did you mean 'Europe/Oslo'"),
        (HEAD + 'format = "json"\n[limits]\nbites = 5' + REPORT, "limits.bites", "did you mean 'bytes'"),
        (HEAD + 'format = "json"\n[limits]\nbytes = 0' + REPORT, "limits.bytes", ">= 1"),
        (HEAD + "format = \"json\"\noccurred = 'row.at'\nidentity2 = 1" + REPORT, "identity2", "did you mean 'identity'"),
        (HEAD + "format = \"json\"\noccurred = 'number(row.at)'" + REPORT, "occurred", "use time\\(x\\)"),
        (HEAD + 'format = "json"\n[rules.a]\nevnt = "x"', "rules.a.evnt", "did you mean 'event'"),
        (HEAD + 'format = "json"\n[rules.a]\nwhen = "True"', "rules.a", "exactly one of"),
        (HEAD + 'format = "json"\n[rules.a]\nevent = "x"\nrecord = "y"', "rules.a", "exactly one of"),
        (HEAD + 'format = "json"\n[rules.a]\nrecord = "y"\neach = "row.x"', "rules.a", "belong to a rule with an event"),
        (HEAD + 'format = "json"\n[rules.a]\nevent = "production.report"', "rules.a.event", "did you mean 'production.reported'"),
        (HEAD + 'format = "json"\n[rules.a]\nevent = "synchromesh.tick"', "rules.a.event", "unknown event type"),
        (HEAD + 'format = "json"\n[rules.a]\nevent = "production.reported"', "rules.a.fields.order", "is missing"),
        (HEAD + 'format = "json"' + REPORT + "scarp = 'row.x'", "rules.report.fields.scarp", "did you mean 'scrap'"),
        (HEAD + 'format = "json"' + REPORT + "scrap = 'number(row.x)'", "rules.report.fields.scrap", "use quantity\\(x, unit\\)"),
        (HEAD + 'format = "json"' + REPORT + "lot = 'number(row.x)'", "rules.report.fields.lot", "use text\\(x\\)"),
        (HEAD + 'format = "json"' + REPORT + "labour_seconds = '\"x\"'", "rules.report.fields.labour_seconds", "use number\\(x\\)"),
        (HEAD + 'format = "json"' + REPORT + "lot = 5", "rules.report.fields.lot", "stands in quotes"),
        (HEAD + 'format = "json"' + REPORT + "lot = 'each.x'", "rules.report.fields.lot", "only in a rule that names its list"),
        (HEAD + 'format = "json"' + REPORT + "lot = 'row.x +'", "rules.report.fields.lot", "is not an expression"),
        (HEAD + 'format = "json"' + REPORT + "lot = { type = 'x' }", "rules.report.fields.lot", "an expression, not a table"),
        (HEAD + 'format = "json"\nfields = ["id", "order", "good"]' + REPORT, "rules.report.fields.good", "'unit' is not among"),
        (HEAD + 'format = "json"\n[rules.a]\nwhen = "number(row.x)"\nrecord = "y"', "rules.a.when", "compare it"),
    ],
)
def test_a_wrong_manifest_names_file_key_and_remedy(tmp_path, manifest, key, why):
    with pytest.raises(ManifestError, match=why) as caught:
        load_adapter(write(tmp_path, manifest))
    assert caught.value.key == key
    assert caught.value.file == str(tmp_path / "adapter.toml")


def test_a_folder_without_a_manifest(tmp_path):
    with pytest.raises(ManifestError, match="can't be read: No such file"):
        load_adapter(tmp_path)


def test_a_manifest_that_is_not_text(tmp_path):
    (tmp_path / "adapter.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="is not UTF-8"):
        load_adapter(tmp_path)


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("kode,value\n", "line 1", "header"),
        ("", "line 1", "header"),
        ("code,value\nA,1,2\n", "line 2", "a code and its value"),
        ("code,value\n,1\n", "line 2", "a code and its value"),
        ("code,value\nA,1\n\nA,2\n", "line 4", "two values: '1' and '2'"),
        ('code,value\n"A,1\n', "", "is not CSV"),
    ],
)
def test_a_wrong_code_list_names_its_line(tmp_path, text, key, why):
    with pytest.raises(ManifestError, match=why) as caught:
        adapter(tmp_path, codes={"colours": text})
    assert caught.value.key == key
    assert caught.value.file.endswith("codes/colours.csv")


def test_a_site_names_only_what_differs(tmp_path):
    base = 'version = "1"\nowner = "o"\nhorizon = "7d"\nidentity = \'text(row.id)\'\nformat = "json"\n[units]\npcs = "EA"\n' + REPORT
    write(tmp_path / "base", base, {"colours": "code,value\nR,red\n", "sizes": "code,value\nS,small\n"})
    site = """extends = "../base"
name = "site"
source = "mes"
[units]
st = "EA"
[rules.report.fields]
lot = 'code("colours", row.lot)'
[rules.report]
when = 'row.order != "TEST"'
[rules.test]
record = "a test"
when = 'row.order == "TEST"'
"""
    used = load_adapter(write(tmp_path / "site", site, {"colours": "code,value\nR,rot\n"}))
    for unit in ("pcs", "st"):
        assert used.map(message({**GOOD, "unit": unit, "lot": "R"})).events[0].lot == "rot"
    assert used.map(message({**GOOD, "order": "TEST"})).recorded == "a test"
    assert set(used.codes) == {"colours", "sizes"}
    with pytest.raises(ManifestError, match="is missing; an adapter states it"):
        load_adapter(tmp_path / "base")


@pytest.mark.parametrize(
    ("base", "why"), [("../site", "go in a circle"), ("../nowhere", "no adapter.toml in"), ("/etc", "is the relative path"), ("", "circle")]
)
def test_templates_that_lead_nowhere(tmp_path, base, why):
    with pytest.raises(ManifestError, match=why):
        load_adapter(write(tmp_path / "site", f'extends = "{base}"\n'))


def test_durations():
    assert [duration(text) for text in ("90s", "5m", "12h", "7d", "2w", "forever")] == [
        timedelta(seconds=90), timedelta(minutes=5), timedelta(hours=12), timedelta(days=7), timedelta(weeks=2), None,
    ]  # fmt: skip
    for wrong in ("", "7", "d", "-1d", "7 days", "for ever"):
        with pytest.raises(ValueError, match="is not a duration"):
            duration(wrong)

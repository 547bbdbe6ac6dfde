"""`synchromesh adapter`: a new adapter passes at once, and a broken one says where."""

import json

from synchromesh.cli import run


def test_new_and_test(tmp_path, capsys):
    folder = tmp_path / "mes"
    assert run(["adapter", "new", str(folder)]) == 0
    assert str(folder / "adapter.toml") in capsys.readouterr().out
    assert run(["adapter", "test", str(folder)]) == 0
    assert "✓ output.json" in capsys.readouterr().out


def test_new_into_a_full_folder_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert run(["adapter", "new", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_sample_that_fails_and_a_manifest_that_is_wrong(tmp_path, capsys):
    good, bad = tmp_path / "good", tmp_path / "bad"
    run(["adapter", "new", str(good)])
    run(["adapter", "new", str(bad)])
    (good / "samples" / "no_unit.expected.json").write_text('{"recorded": "x"}')
    (bad / "adapter.toml").write_text("nmae = 1")
    capsys.readouterr()
    assert run(["adapter", "test", str(good), str(bad), "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert not first["well"]
    assert "it is refused: the quantity has no unit" in first["report"]["samples"][0]["problem"]
    assert "did you mean 'name'?" in second["problem"]

"""Files that are not there: a line that names them and exit code 2, no traceback."""

from __future__ import annotations

import pytest
from nbi_sampler_benchmark.__main__ import main

NOWHERE = "/no/such"


@pytest.mark.parametrize(
    "words",
    [
        ["compare", f"{NOWHERE}.py"],
        ["compare", "no_such_module"],
        ["packages", f"{NOWHERE}.py"],
        ["packages", "linear", "--packages", f"{NOWHERE}.py"],
        ["report", f"{NOWHERE}.jsonl"],
    ],
)
def test_what_is_not_there_is_named(words, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(words)
    said = capfd.readouterr().err
    assert caught.value.code == 2 and "Traceback" not in said
    assert "error: argument" in said and "expected" in said and repr(words[-1]) in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["compare"], ["packages", "--packages", "nbi_sampler", "--no-install"]])
def test_a_script_without_a_problem_is_told_what_to_define(command, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "empty.py"
    script.write_text("a = 1")
    try:
        code = main([command[0], str(script), *command[1:]])
    except SystemExit as error:
        code = error.code
    said = capfd.readouterr().err
    assert code == 2 and "Traceback" not in said
    assert f"{script}: expected it to define 'likelihood'" in said


def test_a_folder_that_cannot_be_made_is_named(capfd, tmp_path):
    (tmp_path / "file").touch()
    words = ["run", "--problems", "linear", "--out", str(tmp_path / "file" / "out.jsonl")]
    assert main(words) == 2
    said = capfd.readouterr().err
    assert "Traceback" not in said and "nbi-sampler benchmark: error: " in said and str(tmp_path) in said

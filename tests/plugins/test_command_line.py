"""The command `nbi-sampler`: commands of other distributions, and what it says where one is missing."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from nbi_sampler import cli


def installed_commands(monkeypatch, *commands):
    monkeypatch.setattr(
        cli, "entry_points", lambda group: commands if group == "nbi_sampler.commands" else ()
    )


def test_a_missing_benchmark_says_how_to_install_it(monkeypatch, capsys):
    installed_commands(monkeypatch)
    assert cli.main(["benchmark", "compare", "script.py"]) == 2
    assert "pip install nbi-sampler-benchmark" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "not installed; pip install nbi-sampler-benchmark" in " ".join(capsys.readouterr().out.split())


def test_a_command_of_another_distribution_gets_its_words_and_gives_the_exit_code(
    monkeypatch, tmp_path, capsys
):
    (tmp_path / "commands_of_test.py").write_text("def main(words):\n    print(words)\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    installed_commands(monkeypatch, EntryPoint("benchmark", "commands_of_test:main", "nbi_sampler.commands"))
    assert cli.main(["benchmark", "run", "--seeds", "1"]) == 3
    assert capsys.readouterr().out == "['run', '--seeds', '1']\n"
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "commands_of_test" in capsys.readouterr().out

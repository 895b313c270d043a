"""Problems to compare samplers on come from scripts and modules."""

from __future__ import annotations

import math
import sys

import bilby
import pytest
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.problems.loader import describe, load_problem
from nbi_sampler_benchmark.runs import runner

LINE = """
import bilby, numpy as np
from bilby.core.prior import Uniform

def model(x, m, c):
    return m * x + c

truth = dict(m=0.5, c=0.2)
x = np.linspace(0, 10, 60)
y = model(x, **truth) + np.random.default_rng(3).normal(size=60)
likelihood = bilby.core.likelihood.GaussianLikelihood(x, y, model, 1.0)
priors = dict(m=Uniform(0, 5), c=Uniform(-2, 2))
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "line_script.py"
    path.write_text(LINE)
    return path


def test_script_gives_likelihood_priors_and_truth(script):
    problem = load_problem(str(script))
    assert isinstance(problem.likelihood, GaussianLikelihood)
    assert isinstance(problem.priors, PriorDict) and set(problem.priors) == {"m", "c"}
    assert problem.name == "line_script" and problem.truth == {"m": 0.5, "c": 0.2}
    assert math.isnan(problem.log_evidence)


def test_script_that_samples_ends_there_and_what_it_hands_over_is_taken(script):
    before = bilby.run_sampler
    handed = "bilby.run_sampler(like, dict(m=Uniform(0, 1)), sampler='dynesty', injection_parameters=truth)"
    script.write_text(
        LINE.replace("likelihood = ", "like = ").replace("priors", "other")
        + f"{handed}\nraise SystemExit(1)\n"
    )
    problem = load_problem(str(script))
    assert list(problem.priors) == ["m"] and problem.truth == {"m": 0.5, "c": 0.2}
    assert bilby.run_sampler is before is bilby.core.sampler.run_sampler


def test_module_is_imported_by_its_name(script, monkeypatch):
    monkeypatch.syspath_prepend(script.parent)
    assert set(load_problem("line_script").priors) == {"m", "c"}


def test_block_for_the_command_line_is_not_run(script):
    script.write_text(LINE + "if __name__ == '__main__':\n    raise SystemExit(1)\n")
    assert load_problem(str(script)).name == "line_script"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINE.replace("likelihood = ", "like = "), r"expected it to define 'likelihood' .* got NoneType"),
        (LINE.replace("priors", "prior"), r"expected it to define 'priors' .* got NoneType"),
    ],
)
def test_script_without_what_is_needed_is_refused(script, text, message):
    script.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_problem(str(script))


@pytest.mark.parametrize("source", ["no_such.py", "no_such_module", "no.such.module"])
def test_unknown_source_is_refused_with_what_is_expected(source):
    with pytest.raises(ValueError, match="expected the name of a problem, an existing script"):
        load_problem(source)


def test_digest_changes_with_the_data_the_priors_and_nothing_else(script):
    first = describe(load_problem(str(script)))
    assert first["names"] == ["m", "c"] and first["seconds_per_call"] > 0
    script.write_text("# a remark\n" + LINE)
    assert describe(load_problem(str(script)))["digest"] == first["digest"]
    for change in (("default_rng(3)", "default_rng(4)"), ("Uniform(0, 5)", "Uniform(0, 6)")):
        script.write_text(LINE.replace(*change))
        assert describe(load_problem(str(script)))["digest"] != first["digest"]


def test_priors_are_those_of_the_script_after_bilby_has_filled_them(script):
    assert isinstance(load_problem(str(script)).priors["m"], Uniform)


@pytest.mark.slow
def test_script_is_compared_from_end_to_end_and_refused_when_its_data_change(script, tmp_path, capsys):
    pytest.importorskip("dynesty")
    script.write_text(LINE + "print('said by the script')\n")
    options = '{"dynesty": {"nlive": 50, "sample": "rwalk", "walks": 10}}'
    words = [
        "compare",
        str(script),
        "--samplers",
        "dynesty",
        "--options",
        options,
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 0
    (record,) = runner.read_records(tmp_path / "out" / "runs.jsonl")
    assert record["calls"] >= record["calls_reported"] > record["ess"] > 10
    assert 0 < record["likelihood_seconds"] < record["seconds"] and record["peak_memory"] > 50
    # Data that change from run to run are no problem to compare on.
    script.write_text(LINE.replace("default_rng(3)", "default_rng()"))
    assert main(words) == 1
    assert "seed the generator of its data" in capsys.readouterr().out

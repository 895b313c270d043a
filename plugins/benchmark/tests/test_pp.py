"""P-P tests: what passes, what does not, and where the problems come from."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from bilby.core.prior import PriorDict, Uniform
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.injections.families import FAMILIES, known_family, load_family
from nbi_sampler_benchmark.injections.report import passes, pp_plot, pp_table
from nbi_sampler_benchmark.problems.loader import ProblemError
from nbi_sampler_benchmark.runs.runner import read_records

PRIORS = PriorDict({"m": Uniform(0, 1), "c": Uniform(0, 1)})
SCRIPT = """
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform

x = np.linspace(0.0, 1.0, 20)
priors = PriorDict({"m": Uniform(-1, 1), "c": Uniform(-1, 1)})


def line(x, m, c):
    return m * x + c


def likelihood_of(injection):
    return GaussianLikelihood(x, line(x, **injection) + 0.3 * np.random.normal(size=20), line, 0.3)
"""


def records(levels):
    common = {"status": "ok", "calls": 1000, "seconds": 1.0}
    return [common | {"number": n, "levels": {"m": a, "c": b}} for n, (a, b) in enumerate(levels)]


def checked(levels, tmp_path):
    given = records(levels)
    p_values = pp_plot(given, PRIORS, tmp_path / "pp.png")
    return passes(p_values), pp_table(given, p_values)


def test_uniform_levels_pass_and_the_picture_is_there(tmp_path):
    passed, table = checked(np.random.default_rng(1).uniform(size=(100, 2)), tmp_path)
    assert passed
    assert "| statuses |  | ok 100 |" in table
    assert (tmp_path / "pp.png").stat().st_size > 15_000


def test_intervals_that_are_too_narrow_fail(tmp_path):
    """A third too narrow, as the levels of a Gaussian posterior of two thirds of its width show."""
    from scipy.stats import norm

    levels = norm.cdf(1.5 * np.random.default_rng(2).normal(size=(100, 2)))
    assert not checked(levels, tmp_path)[0]


def test_one_parameter_that_is_biased_fails_though_others_are_right(tmp_path):
    levels = np.random.default_rng(3).uniform(size=(100, 2))
    levels[:, 1] = levels[:, 1] ** 2
    assert not checked(levels, tmp_path)[0]


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"gw_fast"}))
def test_likelihoods_of_a_family_peak_near_their_injection(name):
    family = load_family(name)
    drawn = [family.priors.sample() for _ in range(20)]
    higher = 0
    for injection in drawn:
        likelihood = family.likelihood_of(injection)
        truth = likelihood.log_likelihood(dict(injection))
        higher += all(truth > likelihood.log_likelihood(dict(family.priors.sample())) for _ in range(10))
    # By chance alone one in eleven would be the highest of eleven.
    assert higher > 8


def test_what_a_script_lacks_is_named(tmp_path):
    script = tmp_path / "lacking.py"
    script.write_text("priors = {}")
    assert known_family(str(script)) == str(script)
    with pytest.raises(ProblemError, match=r"likelihood_of\(injection\)"):
        load_family(str(script))
    with pytest.raises(argparse.ArgumentTypeError, match="two_modes"):
        known_family("no such family")


@pytest.mark.slow
def test_command_goes_on_where_it_was_ended(tmp_path, capsys):
    script = tmp_path / "lines.py"
    script.write_text(SCRIPT)
    options = ["--n-effective", "200", "--out", str(tmp_path / "out")]
    main(["pp", str(script), "--injections", "2", *options])
    first = read_records(tmp_path / "out" / "runs.jsonl")
    main(["pp", str(script), "--injections", "3", *options])
    assert "| 3 injections |" in capsys.readouterr().out
    every = read_records(tmp_path / "out" / "runs.jsonl")
    assert every[:2] == first
    assert [record["number"] for record in every] == [0, 1, 2]
    assert all(0.0 <= level <= 1.0 for record in every for level in record["levels"].values())

"""The search for wrong evidences: exact references, an honest table, a few problems run for real."""

from __future__ import annotations

import numpy as np
import pytest
from bilby.core.prior import PriorDict, Uniform
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbi_sampler_benchmark import get_problem
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.problems.random_mixtures import (
    EVEN,
    UNEVEN,
    GaussianMixture,
    contradicted,
    mixture_named,
    search_table,
)
from nbi_sampler_benchmark.problems.registry import Problem
from nbi_sampler_benchmark.runs.runner import Run
from nbi_sampler_benchmark.runs.single import run_problem


@pytest.mark.parametrize("width", [0.02, 0.3])
def test_the_evidence_is_that_of_a_quadrature(width):
    centres = np.array([[0.1, 0.5], [0.95, 0.02]])
    mixture = GaussianMixture(np.array([0.3, 0.7]), centres, np.array([width, 0.1]))
    u = (np.arange(150) + 0.5) / 150
    values = [np.exp(mixture.log_likelihood({"x0": a, "x1": b})) for a in u for b in u]
    assert mixture.log_evidence == pytest.approx(np.log(np.mean(values)), abs=2e-3)


@pytest.mark.parametrize("kind", [EVEN, UNEVEN])
def test_problems_are_repeatable_and_cover_what_they_should(kind):
    problems = [mixture_named(f"{kind}{number}")[0] for number in range(200)]
    again = mixture_named(f"{kind}17")[0]
    np.testing.assert_array_equal(problems[17].centres, again.centres)
    shapes = np.array([problem.centres.shape for problem in problems])
    assert set(shapes[:, 0]) == set(range(1, 7)) and set(shapes[:, 1]) == set(range(1, 11))
    widths = np.concatenate([problem.widths for problem in problems])
    assert np.log10(widths.max() / widths.min()) > 2.8
    assert get_problem(f"{kind}17").log_evidence == again.log_evidence
    assert {len(set(problem.widths)) for problem in problems} == ({1} if kind == EVEN else set(range(1, 7)))


@pytest.mark.parametrize("name", ["mixture", "17", "mixtures17", "mixture-1", "mix17ture"])
def test_other_names_are_no_mixtures(name):
    assert mixture_named(name) is None


def test_the_table_counts_only_wrong_evidences_that_look_healthy():
    pulls = {1: ("ok", 1.0), 2: ("ok", -9.0), 3: ("missing mass", -9.0)}
    records = [
        {"problem": f"mixture{k}", "status": status, "pull": pull, "log_evidence_error": 0.01 * pull}
        for k, (status, pull) in pulls.items()
    ]
    assert [contradicted(record) for record in records] == [False, True, False]
    assert "Wrong with status ok: 1 of 3" in search_table(records)
    assert "- mixture2: " in search_table(records)


def test_the_command_runs_each_problem_once_and_prints_the_table(monkeypatch, tmp_path, capsys):
    seen = []
    monkeypatch.setattr("nbi_sampler_benchmark.__main__.run_all", lambda runs, *_, **__: seen.extend(runs))
    assert main(["search", "--runs", "3", "--out", str(tmp_path / "none.jsonl")]) == 0
    assert [run.problem for run in seen] == ["mixture1", "mixture2", "mixture3"]
    assert main(["search", "--runs", "1", "--uneven", "--out", str(tmp_path / "none.jsonl")]) == 0
    assert seen.pop().problem == "uneven1"
    assert {run.n_effective for run in seen} == {1000}
    assert "Wrong with status ok: 0 of 0" in capsys.readouterr().out


@pytest.mark.slow
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 3), st.integers(1, 3))
def test_one_gaussian_of_any_width_is_right_or_says_that_it_is_not(third_of_decades, n_dim):
    width = 10.0 ** (-0.5 - third_of_decades)
    likelihood = GaussianMixture(np.ones(1), np.full((1, n_dim), 0.3), np.array([width]))
    problem = Problem(
        name="one",
        likelihood=likelihood,
        priors=PriorDict({name: Uniform(0.0, 1.0) for name in likelihood.names}),
        truth=None,
        log_evidence=likelihood.log_evidence,
        log_evidence_err=0.0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbi_sampler_benchmark.runs.single.load_problem", lambda name: problem)
        options = {"print_method": "none"}
        record = run_problem(Run(problem="one", seed=1, n_effective=300, options=options))
    assert not contradicted(record)

"""The scaling benchmark: exact references at every size, laws that can be refuted, a command that resumes."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
from nbi_sampler_benchmark import get_problem
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.problems.growing import growing_problem
from nbi_sampler_benchmark.runs import runner
from nbi_sampler_benchmark.scaling.figure import scaling_figure
from nbi_sampler_benchmark.scaling.laws import fitted_law
from nbi_sampler_benchmark.scaling.report import AXES, Measured, laws_table, scaling_table


def log_mean_likelihood(problem, n):
    """Log of the mean likelihood over the midpoints of a grid in prior quantiles."""
    quantiles = (np.arange(n) + 0.5) / n
    keys = list(problem.priors)
    rows = itertools.product(*(problem.priors[key].rescale(quantiles) for key in keys))
    values = np.array([problem.likelihood.log_likelihood(dict(zip(keys, row, strict=True))) for row in rows])
    return values.max() + np.log(np.mean(np.exp(values - values.max())))


@pytest.mark.parametrize(("name", "n"), [("modes2", 40), ("valleys2", 200), ("line100", 200)])
def test_the_evidence_is_that_of_a_quadrature(name, n):
    problem = get_problem(name)
    assert problem.log_evidence_err == 0.0
    assert problem.log_evidence == pytest.approx(log_mean_likelihood(problem, n), abs=2e-3)


def test_independent_valleys_add_up():
    one, fifteen = get_problem("valleys2"), get_problem("valleys30")
    assert fifteen.log_evidence == pytest.approx(15 * one.log_evidence)
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 30)
    pairs = [one.likelihood.log_likelihood({"x0": a, "x1": b}) for a, b in x.reshape(15, 2)]
    whole = fifteen.likelihood.log_likelihood({f"x{d}": value for d, value in enumerate(x)})
    assert whole == pytest.approx(sum(pairs))


@pytest.mark.parametrize("what", AXES)
def test_every_size_of_the_benchmark_is_a_problem_of_that_size(what):
    axis = AXES[what]
    for family, size in itertools.product(axis.families, axis.sizes):
        run = axis.run(family, size, seed=1, n_effective=7, options={})
        problem = get_problem(run.problem)
        grown = {"dimension": len(problem.priors), "draws": run.n_effective}
        assert grown.get(what, np.size(getattr(problem.likelihood, "x", None))) == size


@pytest.mark.parametrize("name", ["modes", "modes1", "valleys3", "line0", "modes-2", "mode8", "8"])
def test_other_names_are_no_growing_problems(name):
    assert growing_problem(name) is None
    with pytest.raises(ValueError, match="expected one of"):
        get_problem(name)


@pytest.mark.parametrize(
    ("cost", "fixed", "power", "error"),
    [
        (lambda x: 20.0 * x**1.5, 0.0, 1.5, lambda law: law.error),
        (lambda x: 300.0 + 0.01 * x, 300.0, 1.0, lambda law: law.error * 1e2),
    ],
)
def test_the_better_law_is_found_with_an_error_that_covers_the_noise(cost, fixed, power, error):
    x = np.geomspace(10, 1e6, 12)
    pulls = []
    for seed in range(200):
        noise = 1.0 + 0.02 * np.random.default_rng(seed).normal(size=len(x))
        law = fitted_law(x, cost(x) * noise)
        assert (law.fixed == 0.0) == (fixed == 0.0)
        pulls.append((law.power - 1.5) / law.error if fixed == 0.0 else (law.factor - 0.01) / law.error)
    # Student's t with ten degrees of freedom has a standard deviation of 1.12, known here to 5 %.
    assert abs(np.mean(pulls)) < 4 * 1.12 / np.sqrt(200)
    assert 0.9 < np.std(pulls) < 1.4


def test_two_sizes_make_no_law():
    assert fitted_law(np.array([2.0, 2.0, 4.0]), np.array([1.0, 1.1, 2.0])) is None


def record_of(run, **changes):
    measured = {
        "status": "ok",
        "calls": 1000 * run["n_effective"],
        "cpu_seconds": 3.0,
        "peak_memory": 400.0,
        "efficiency": 0.8,
        "log_evidence_error": 0.01,
        "pull": 0.5,
    }
    return run | measured | changes


def row_of(size, **changes):
    return Measured("dimension", "modes", size, record_of({"n_effective": size}, **changes))


def test_tables_show_the_worst_error_and_fit_only_what_trusts_itself():
    rows = [row_of(2), row_of(2, pull=-7.0, log_evidence_error=-0.2), row_of(4), row_of(8)]
    rows.append(row_of(30, status="missing mass", calls=1, pull=None, log_evidence_error=-3.0))
    table, laws = scaling_table(rows), laws_table(rows)
    assert "| modes, parameters | 2 | 2 | ok | 2,000 | 3 | 400 | 0.80 | -0.200 (-7.0) |" in table
    assert "| 30 | 1 | missing mass |" in table
    assert "1e+03 D^(1.00 +- 0.00), to 0 %" in laws


def test_the_command_runs_what_is_missing_and_draws_it(monkeypatch, tmp_path, capsys):
    started = []

    def pretend(run, *_):
        started.append(run)
        record = {"problem": run.problem, "seed": run.seed, "n_effective": run.n_effective, "sampler": "nbi"}
        return record_of(record | {"options": run.options}), "fine"

    monkeypatch.setattr(runner, "_run_in_process", pretend)
    out, figure = tmp_path / "scaling.jsonl", tmp_path / "scaling.png"
    words = ["scaling", "--what", "dimension,draws", "--out", str(out), "--figure", str(figure)]
    words += ["--options", '{"n_sims": 300}']
    assert main([*words, "--sizes", "200,400", "--families", "modes,line100"]) == 0
    problems = [(run.problem, run.n_effective) for run in started]
    assert problems == [("modes200", 2000), ("modes400", 2000), ("line100", 200), ("line100", 400)]
    assert main([*words, "--sizes", "400,600", "--families", "modes"]) == 0
    assert [run.problem for run in started[4:]] == ["modes600"]
    assert {run.options["n_sims"] for run in started} == {300}
    assert figure.stat().st_size > 10_000
    shown = capsys.readouterr().out
    assert "| line100, effective samples | 400 |" in shown and "too few" in shown


@pytest.mark.parametrize(
    "sizes, costs, n_lines",
    [
        ((2, 4, 8), (1000, 2000, 4000), 0),
        ((2, 4, 8, 16), (1000, 2000, 4000, 8000), 1),
        ((2, 4, 8, 16), (1000, 90_000, 2000, 50_000), 0),
    ],
)
def test_a_law_is_drawn_where_it_fits_more_than_three_sizes(sizes, costs, n_lines):
    rows = [row_of(size, calls=calls) for size, calls in zip(sizes, costs, strict=True)]
    axis = scaling_figure(rows).axes[0]
    assert len([line for line in axis.lines if line.get_linestyle() == "-"]) == n_lines
    shown = [label.get_text() for label in axis.get_yticklabels()]
    assert shown and all(re.fullmatch(r"[\d.]+[kM]?", text) for text in shown)


def test_an_unknown_axis_stops_before_any_run(capsys):
    with pytest.raises(SystemExit):
        main(["scaling", "--what", "width"])
    assert "expected names among dimension, length, draws, got 'width'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tiny_grid_is_run_for_real(tmp_path, capsys):
    out = tmp_path / "scaling.jsonl"
    words = ["growth", "--what", "length", "--sizes", "100", "--n-effective", "200", "--out", str(out)]
    assert main([*words, "--options", '{"n_sims": 300, "training": {"n_epochs": 15}}']) == 0
    (record,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert record["status"] == "ok" and abs(record["pull"]) < 4.5
    assert record["calls"] > 600 and record["peak_memory"] > 50
    assert "| line, data | 100 | 1 | ok |" in capsys.readouterr().out

"""Hard shapes: exact references, a table that hides nothing, a command that resumes, two runs for real."""

from __future__ import annotations

import argparse
import math

import numpy as np
import pytest
from nbi_sampler_benchmark import get_problem
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.problems.hard_shapes import cut
from nbi_sampler_benchmark.problems.hard_shapes.by_name import HARD_SHAPES, hard_shape
from nbi_sampler_benchmark.runs import runner
from nbi_sampler_benchmark.runs.runner import Run
from nbi_sampler_benchmark.runs.single import run_problem
from nbi_sampler_benchmark.shapes.command import _shapes
from nbi_sampler_benchmark.shapes.report import pull_of, shapes_table, wrong_and_trusted


def log_mean_likelihood(shape, *sizes):
    """Log of the mean likelihood over the midpoints of a grid in prior quantiles."""
    priors = list(shape.priors.values())
    axes = [
        prior.rescale((np.arange(n) + 0.5) / n)
        for prior, n in zip(priors, sizes * (len(priors) // len(sizes)), strict=True)
    ]
    values = shape.log_likelihoods(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    return values.max() + math.log(np.mean(np.exp(values - values.max())))


@pytest.mark.parametrize(
    ("name", "sizes", "to"),
    [
        ("funnel2", (300, 6000), 1e-3),
        ("banana2", (400,), 1e-3),
        ("banana3", (100, 300, 20), 2e-3),
        ("shells2", (500,), 1e-3),
        ("shells3", (120,), 2e-3),
        ("ring2", (100,), 1e-6),
        ("ring4", (30,), 1e-6),
        ("loggamma2", (200,), 1e-4),
        ("loggamma4", (40,), 1e-3),
        ("student2", (1000,), 1e-3),
        ("correlated2", (500,), 1e-3),
        ("correlated3", (150,), 2e-2),
        ("flat2", (300,), 1e-3),
        ("flat3", (160,), 1e-2),
        ("switches1", (20_000,), 1e-3),
        ("switches3", (80,), 3e-3),
        ("plateau1", (300_000,), 1e-3),
        ("plateau2", (1500,), 5e-3),
        ("step1", (2_000_000,), 1e-2),
    ],
)
def test_the_evidence_is_that_of_a_grid(name, sizes, to):
    shape = hard_shape(name)
    assert shape.log_evidence == pytest.approx(log_mean_likelihood(shape, *sizes), abs=to)


def test_the_evidence_along_edges_is_that_of_a_grid(monkeypatch):
    """With tails that are long enough for the prior to cut much of them off."""
    monkeypatch.setattr(cut, "DEPTH", 0.3)
    for name, n in [("edges3", 60), ("edges4", 30)]:
        shape = hard_shape(name)
        assert shape.log_evidence < -0.05
        assert shape.log_evidence == pytest.approx(log_mean_likelihood(shape, n), abs=3e-3)


def test_the_evidence_of_two_shells_is_the_published_one():
    """Feroz & Hobson (2008, arXiv:0704.3704), table of analytic values: -1.75, -5.67 and -14.59."""
    found = [round(hard_shape(f"shells{n}").log_evidence, 2) for n in (2, 5, 10)]
    assert found == [-1.75, -5.67, -14.59]


@pytest.mark.parametrize("name", HARD_SHAPES)
def test_every_shape_is_a_repeatable_problem_of_its_size(name, rng):
    problem, again = get_problem(name), get_problem(name)
    assert str(len(problem.priors)) == "".join(each for each in name if each.isdigit())
    assert problem.log_evidence_err == 0.0 and math.isfinite(problem.log_evidence)
    x = rng.uniform(0.1, 0.9, (5, len(problem.priors)))
    many = hard_shape(name).log_likelihoods(x)
    for row, value in zip(x, many, strict=True):
        named = {f"x{d}": each for d, each in enumerate(row)}
        assert problem.likelihood.log_likelihood(named) == pytest.approx(value)
        assert again.likelihood.log_likelihood(named) == problem.likelihood.log_likelihood(named)


@pytest.mark.parametrize("name", ["funnel", "funnel1", "edges2", "10", "shell10", "ring-3"])
def test_other_names_are_no_shapes(name):
    assert hard_shape(name) is None
    with pytest.raises(argparse.ArgumentTypeError, match="expected names among funnel10"):
        _shapes(f"ring6,{name}")


def record_of(run=None, **changes):
    measured = {"problem": "ring6", "sampler": "nbi", "status": "ok", "calls": 1000, "cpu_seconds": 3.0}
    return measured | (run or {}) | {"log_evidence_error": 0.01, "pull": 0.5} | changes


def test_an_evidence_without_an_error_is_as_wrong_as_can_be():
    assert pull_of(record_of(pull=None, log_evidence_error=-40.0)) == -math.inf
    assert pull_of(record_of(pull=None, log_evidence_error=1e-12)) == 0.0
    assert pull_of(record_of(pull=None, log_evidence_error=None)) == -math.inf
    assert wrong_and_trusted(record_of(pull=None, log_evidence_error=-40.0))
    assert wrong_and_trusted(record_of(pull=3.1)) and not wrong_and_trusted(record_of(pull=-2.9))
    assert not wrong_and_trusted(record_of(pull=9.0, status="missing mass"))


def test_the_table_names_what_is_wrong_and_what_is_trusted():
    records = [
        record_of(),
        record_of(pull=-7.0, log_evidence_error=-0.2),
        record_of(pull=1.0, status="missing mass", calls=3000),
        record_of(sampler="dynesty", status=None, pull=-4.0, log_evidence_error=-0.4),
        record_of({"problem": "funnel10"}),
    ]
    first, ring, dynesty = shapes_table(records).splitlines()[2:5]
    assert "`funnel10` | 10 | -36.8813 | nbi | 1 |" in first and first.endswith("| nothing |")
    assert "| -0.200 | -7.0 | -1.83 | 4.48 | 1,000 | 3 | ok 2, missing mass 1 |" in ring
    assert ring.endswith('| wrong 1, wrong with "ok" 1, not "ok" 1 |')
    assert "| dynesty | 1 | -0.400 | -4.0 |" in dynesty and dynesty.endswith("| - | wrong 1 |")
    assert shapes_table(records).endswith("Wrong with status ok: 1 of 4 (none may be).")


def test_the_command_runs_what_is_missing_and_fails_where_ok_is_wrong(monkeypatch, tmp_path, capsys):
    started = []

    def pretend(run, *_):
        started.append(run)
        record = {key: getattr(run, key) for key in ("problem", "seed", "sampler", "n_effective", "options")}
        changes = {
            "status": "ok" if run.sampler == "nbi" else None,
            "pull": 9.0 if run.problem == "flat2" else 1,
        }
        return record_of(record, **changes), "fine"

    monkeypatch.setattr(runner, "_run_in_process", pretend)
    words = ["shapes", "--out", str(tmp_path / "shapes.jsonl"), "--options", '{"nbi": {"n_sims": 300}}']
    words += ["--seeds", "1,2", "--n-effective", "300", "--samplers", "nbi,dynesty"]
    assert main([*words, "--shapes", "ring6"]) == 0
    assert main([*words, "--shapes", "ring6,flat2"]) == 1
    assert [(run.problem, run.sampler, run.seed) for run in started[4:]] == [
        ("flat2", "nbi", 1),
        ("flat2", "nbi", 2),
        ("flat2", "dynesty", 1),
        ("flat2", "dynesty", 2),
    ]
    assert started[0].options == {"n_sims": 300} and started[0].n_effective == 300
    assert started[2].options == {} and started[2].n_effective == 5000
    shown = capsys.readouterr().out
    assert "ring of periodic parameters `ring6` | 6 |" in shown and "Wrong with status ok: 2 of 4" in shown


@pytest.mark.slow
@pytest.mark.parametrize("name", ["switches1", "flat3"])
def test_a_small_shape_is_right_or_says_that_it_is_not(name):
    record = run_problem(Run(problem=name, seed=1, n_effective=500))
    assert record["status"] == "ok" and abs(pull_of(record)) < 4.5

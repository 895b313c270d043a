"""The benchmark's problems are the agreed ones, and its figures mean what they say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace

import bilby
import numpy as np
import pytest
from nbi_sampler_benchmark import PROBLEMS, get_problem
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.problems.registry import CALIBRATION_PROBLEMS
from nbi_sampler_benchmark.reports import calibration
from nbi_sampler_benchmark.reports import required as report
from nbi_sampler_benchmark.runs import runner, single

from nbi_sampler import cli

# log L of the agreed data at the truth, or at the 40 % quantile of the prior where there is none.
LOG_LIKELIHOODS = {
    "linear": -128.4222340451323,
    "microlensing": 170.386560803946,
    "spectrum": 1587.4147755847448,
    "rosenbrock": -606.0,
    "gaussian15d": 9.77234944782756,
    "sine_demo": 40.84214894690541,
    "sine": 13.354950724362066,
    "transit": 1849.2525488392585,
    "gw_fast": -8016.96507898286,
    "radial_velocity": -117.30410697720757,
    "eggbox": 243.0,
    "gaussian5d": 3.249209029811542,
}
NEEDS = {"transit": "batman", "gw_fast": "lalsimulation"}


def point_of(problem):
    sampled = {
        key: float(prior.rescale(0.4))
        for key, prior in problem.priors.items()
        if not isinstance(prior, bilby.core.prior.Constraint)
    }
    return sampled | (problem.truth or {})


@pytest.mark.parametrize("name", LOG_LIKELIHOODS)
def test_data_and_likelihood_are_the_agreed_ones(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    problem = get_problem(name)
    got = problem.likelihood.log_likelihood(point_of(problem))
    assert got == pytest.approx(LOG_LIKELIHOODS[name], rel=1e-6 if name in NEEDS else 1e-11)


def test_every_problem_has_a_target():
    assert set(PROBLEMS) == set(report.TARGETS)


def test_unknown_problem_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"expected one of linear, .* got 'liner'"):
        get_problem("liner")


def test_gravitational_waves_leave_bilbys_generator_alone():
    pytest.importorskip("lalsimulation")
    before = bilby.core.utils.random.rng.bit_generator.state
    get_problem("gw_fast")
    assert bilby.core.utils.random.rng.bit_generator.state == before


def test_reference_of_the_line_is_its_closed_form():
    problem = get_problem("linear")
    x, y = problem.likelihood.x, problem.likelihood.y
    design = np.stack([x, np.ones_like(x)], axis=1)
    precision = design.T @ design
    residual = y - design @ np.linalg.solve(precision, design.T @ y)
    best = -0.5 * residual @ residual - 0.5 * len(x) * np.log(2 * np.pi)
    log_volume = np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1]
    assert problem.log_evidence == pytest.approx(best + log_volume - np.log(5 * 4), abs=1e-6)


@pytest.mark.parametrize(("name", "n_dim"), [("gaussian5d", 5), ("gaussian15d", 15)])
def test_reference_of_a_gaussian_is_minus_the_log_of_the_prior_volume(name, n_dim):
    assert get_problem(name).log_evidence == pytest.approx(-n_dim * np.log(10), abs=1e-5)


def test_reference_of_the_eggbox_is_its_integral():
    problem = get_problem("eggbox")
    cosine = np.cos((np.arange(3000) + 0.5) * 10 * np.pi / 3000 / 2)
    log_likelihood = (2 + np.outer(cosine, cosine)) ** 5
    peak = log_likelihood.max()
    assert problem.log_evidence == pytest.approx(
        peak + np.log(np.mean(np.exp(log_likelihood - peak))), abs=1e-3
    )


def fake_result(weights, log_evidence, error, calls=100, own=None):
    return SimpleNamespace(
        nested_samples={"weights": np.array(weights)},
        log_evidence=log_evidence,
        log_evidence_err=error,
        num_likelihood_evaluations=calls,
        meta_data={} if own is None else {"nbi": own},
    )


def test_measure_counts_calls_per_effective_sample():
    record = single.measure(fake_result([0.25] * 4, -11.5, 0.1), get_problem("gaussian5d"))
    assert record["ess"] == pytest.approx(4)
    assert record["calls_per_ess"] == pytest.approx(25)
    assert record["efficiency"] is None


def test_measure_takes_the_pull_from_both_errors():
    problem = get_problem("eggbox")
    record = single.measure(fake_result([1.0], problem.log_evidence + 0.2, 0.1), problem)
    assert record["pull"] == pytest.approx(0.2 / math.hypot(0.1, 1e-4))


def test_measure_adds_up_the_seconds_of_the_rounds():
    rounds = [{"seconds_training": 1.5, "seconds_simulating": None}, {"seconds_training": 2.0}]
    own = {"status": "done", "efficiency": 0.9, "k_hat": 0.1, "rounds": rounds}
    record = single.measure(fake_result([1.0], 0.0, 0.1, own=own), get_problem("eggbox"))
    assert record["seconds_training"] == 3.5
    assert record["seconds_simulating"] is None
    assert record["n_rounds"] == 2


def record_of(problem="linear", seed=1, **changes):
    record = {
        "problem": problem,
        "seed": seed,
        "n_effective": 5000,
        "sampler": "nbi",
        "options": {},
        "efficiency": 0.9,
        "calls_per_ess": 2.0,
        "log_evidence_error": 0.01,
        "pull": 1.0,
        "seconds": 10.0,
    }
    return record | changes


def test_runner_skips_what_the_file_holds_and_keeps_failures_out(tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(record_of(seed=1)) + "\n")
    started = []

    def pretend(run, *_):
        started.append(run.seed)
        return (None, "failed") if run.seed == 2 else (record_of(seed=run.seed), "fine")

    monkeypatch.setattr(runner, "_run_in_process", pretend)
    failed = runner.run_all([runner.Run(problem="linear", seed=s) for s in (1, 2, 3)], path, n_processes=1)
    assert started == [2, 3]
    assert [run.seed for run in failed] == [2]
    assert [record["seed"] for record in runner.read_records(path)] == [1, 3]


def test_runner_tells_apart_runs_that_were_asked_for_something_else(tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(record_of(options={"flow": "nsf"})) + "\n")
    monkeypatch.setattr(runner, "_run_in_process", lambda *_: (record_of(), "fine"))
    runner.run_all([runner.Run(problem="linear", seed=1)], path, n_processes=1)
    assert len(runner.read_records(path)) == 2


def test_torn_line_is_named_with_its_number(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(record_of()) + '\n{"problem": "lin')
    with pytest.raises(ValueError, match=r"line 2: .* delete that line"):
        runner.read_records(path)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"efficiency": 0.79}, ["efficiency"]),
        ({"efficiency": None}, ["efficiency"]),
        ({"calls_per_ess": 3.1}, ["calls"]),
        ({"log_evidence_error": -0.031}, ["log evidence"]),
        ({"pull": -3.1}, ["log evidence"]),
        ({"pull": math.nan}, ["log evidence"]),
        ({"seconds": 61}, ["time"]),
    ],
)
def test_report_names_what_was_missed(change, missed):
    assert report.misses(record_of(**change), report.TARGETS["linear"]) == missed


def test_report_shows_the_worst_seed(tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    records = [record_of(seed=1), record_of(seed=2, efficiency=0.5, log_evidence_error=-0.02)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert main(["report", str(path)]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert "| linear | 2 | >= 0.8 | 0.500 |" in row
    assert "-0.0200" in row
    assert row.endswith("| efficiency |")


def calibration_records(errors):
    return [record_of(name, pull=float(pull)) for name in CALIBRATION_PROBLEMS for pull in errors]


@pytest.mark.parametrize(
    ("shift", "scale", "missed"), [(0, 1, "nothing"), (1, 1, "mean"), (0, 2, "standard deviation")]
)
def test_calibration_catches_bias_and_wrong_error_bars(shift, scale, missed):
    errors = np.linspace(-1.7, 1.7, 100) * scale + shift
    rows = calibration.calibration_table(calibration_records(errors)).splitlines()[2:]
    assert len(rows) == len(CALIBRATION_PROBLEMS)
    assert all(row.endswith(f"| {missed} |") for row in rows)


def test_unknown_problem_on_the_command_line_stops_before_any_run(capsys):
    with pytest.raises(SystemExit):
        main(["--problems", "linear,liner"])
    assert "got 'liner'" in capsys.readouterr().err


def test_every_command_has_its_own_number_of_effective_samples(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("nbi_sampler_benchmark.__main__.run_all", lambda runs, *_, **__: seen.extend(runs))
    for words in (["run"], ["calibration"], ["search"]):
        main([*words, "--out", str(tmp_path / "none.jsonl")])
        assert {run.n_effective for run in seen} == {1000 if words == ["search"] else 5000}
        seen.clear()


@pytest.mark.slow
def test_command_line_runs_a_peer_sampler_and_reports_it(tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    words = ["--problems", "linear", "--seeds", "1", "--sampler", "dynesty", "--out", str(path)]
    assert main([*words, "--options", '{"nlive": 100, "sample": "rslice"}']) == 0
    (record,) = runner.read_records(path)
    assert abs(record["pull"]) < 5
    assert record["calls"] > record["ess"] > 100
    assert "| linear | 1 |" in capsys.readouterr().out


@pytest.mark.slow
def test_command_line_says_when_a_run_failed(tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    words = ["--problems", "linear", "--seeds", "1", "--sampler", "no_such_sampler", "--out", str(path)]
    assert main(words) == 1
    assert "no_such_sampler" in capsys.readouterr().out
    assert runner.read_records(path) == []


@pytest.mark.slow
def test_a_run_ends_with_the_command_that_started_it(tmp_path):
    """Its output closes only when the run, which inherits it, is gone too."""
    run = json.dumps(asdict(runner.Run(problem="gaussian15d", seed=1, n_effective=10**7)))
    module, record = "nbi_sampler_benchmark.runs.single", str(tmp_path / "record")
    single = [sys.executable, "-m", module, run, "--record", record]
    code = f"import os, subprocess; subprocess.Popen({single} + ['--parent', str(os.getpid())])"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path, timeout=120)
    assert not (tmp_path / "record").exists()


def test_help_names_the_command_and_its_words(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("usage: nbi-sampler benchmark") and "calibration" in told


@pytest.mark.parametrize("word, known", [("run", "run"), ("growth", "scaling"), ("shapes", "shapes")])
def test_help_of_a_command_is_that_of_the_command_as_it_is_typed(word, known, capsys):
    with pytest.raises(SystemExit):
        cli.main(["benchmark", word, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: nbi-sampler benchmark {known} [-h]")

"""Comparison with sbibm: files in its wheel, the two-sample test, the table, and the command."""

from __future__ import annotations

import argparse
import json
import subprocess
import zipfile

import numpy as np
import pytest
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.problems.loader import ProblemError
from nbi_sampler_benchmark.runs.jobs import finished
from nbi_sampler_benchmark.runs.runner import read_records
from nbi_sampler_benchmark.sbibm import wheel as wheel_module
from nbi_sampler_benchmark.sbibm.command import add_arguments
from nbi_sampler_benchmark.sbibm.report import passes, sbibm_table
from nbi_sampler_benchmark.sbibm.runs import compare_draws, compare_halves, equal_draws, run_task
from nbi_sampler_benchmark.sbibm.two_sample import c2st
from nbi_sampler_benchmark.sbibm.wheel import Wheel, find_wheel
from sbibm_files import make_wheel


def test_tables_and_tensors_are_read(tmp_path, rng):
    order, draws = rng.permutation(5), rng.normal(size=(7, 2))
    path = make_wheel(
        tmp_path / "a.whl",
        "slcp",
        reference=draws,
        tensors=[("permutation_idx.torch", order)],
        observation=[1.5, -2e-3],
    )
    wheel = Wheel(path)
    np.testing.assert_array_equal(wheel.numbers("slcp", 1, "observation.csv"), [[1.5, -2e-3]])
    np.testing.assert_allclose(wheel.numbers("slcp", 1, "reference_posterior_samples.csv.bz2"), draws)
    np.testing.assert_array_equal(wheel.tensor("slcp", "permutation_idx.torch"), order)


def test_what_a_wheel_lacks_is_named(tmp_path):
    path = make_wheel(tmp_path / "a.whl", observation=[1.0])
    with pytest.raises(ProblemError, match=r"num_observation_2/observation\.csv"):
        Wheel(path).numbers("gaussian_linear", 2, "observation.csv")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("sbibm/tasks/sir/files/num_observation_1/observation.csv", "names\nnot,numbers\n")
        archive.writestr("sbibm/tasks/sir/files/num_observation_1/reference.csv.bz2", b"not compressed")
    for name in ("observation.csv", "reference.csv.bz2"):
        with pytest.raises(ProblemError, match="table of numbers"):
            Wheel(path).numbers("sir", 1, name)
    other = tmp_path / "other"
    other.write_text("no archive")
    with pytest.raises(ProblemError, match="a zip archive"):
        Wheel(other)


def test_wheel_is_downloaded_once(tmp_path, monkeypatch):
    calls = []

    def pip(command, **_):
        calls.append(command)
        (tmp_path / f"sbibm-{wheel_module.VERSION}-py2.py3-none-any.whl").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheel_module.subprocess, "run", pip)
    given = tmp_path / "given.whl"
    assert find_wheel(given, tmp_path) == given
    assert find_wheel(None, tmp_path) == find_wheel(None, tmp_path)
    assert len(calls) == 1
    assert {"--no-deps", "sbibm==1.1.0"} < set(calls[0])


def test_failing_download_says_what_pip_said(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "no route to host")
    monkeypatch.setattr(wheel_module.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ProblemError, match=r"(?s)--wheel PATH.*no route to host"):
        find_wheel(None, tmp_path)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_samples_of_one_distribution_cannot_be_told_apart(early_stopping, rng):
    draws = rng.normal(size=(2, 1000, 2)) * [1.0, 100.0]
    # Four standard deviations of 2,000 guesses. What is over-represented in four folds lacks in the fifth, so
    # that a network which learns by heart is wrong more often than one that guesses.
    assert 0.4 < c2st(*draws, early_stopping=early_stopping) < 0.545


@pytest.mark.parametrize("early_stopping", [False, True])
def test_shifted_gaussians_are_told_apart_as_often_as_the_best_classifier_can(early_stopping, rng):
    """Two standard deviations apart, one of two is right with probability ndtr(1) = 0.841."""
    first, second = rng.normal(size=(2, 1000, 1))
    found = c2st(first, second + 2.0, early_stopping=early_stopping)
    assert found == pytest.approx(0.841, abs=0.035)


def test_halves_of_a_reference_are_its_first_and_its_second(rng, tmp_path):
    reference = rng.normal(size=(300, 10))
    reference[150:] += 5.0
    wheel = make_wheel(tmp_path / "a.whl", reference=reference)
    job = {"task": "gaussian_linear", "observation": 1, "early_stopping": True}
    measured = compare_halves(wheel, job)
    assert measured["c2st"] > 0.9
    assert measured["n_rows"] == 150


def test_samples_of_other_sizes_are_refused_and_made_equal(rng):
    reference, draws = rng.normal(size=(50, 2)), rng.normal(size=(60, 2))
    with pytest.raises(ValueError, match=r"shape \(50, 2\), got \(60, 2\)"):
        c2st(reference, draws)
    first, second = equal_draws(reference, draws, 1)
    assert first.shape == second.shape == (50, 2)
    assert {tuple(row) for row in second} < {tuple(row) for row in draws}


def squared(job):
    return {"square": np.float64(job["x"] ** 2)}


def test_jobs_that_are_in_the_file_are_not_done_again(tmp_path):
    path = tmp_path / "folder" / "jobs.jsonl"
    first = finished([{"x": 1}], squared, path, 1)
    path.write_text(path.read_text().replace("1.0", "1.5"))
    both = finished([{"x": 2}, {"x": 1}], squared, path, 1)
    assert first == [{"x": 1, "square": 1.0}]
    assert both == [{"x": 2, "square": 4.0}, {"x": 1, "square": 1.5}]
    assert len(read_records(path)) == 2


RUN = {"task": "sir", "observation": 2, "calls": 31234, "seconds": 12.4, "status": "ok"}
RUN |= {"log_evidence": -7.1234, "log_evidence_err": 0.004}


def test_table_holds_what_was_measured_beside_what_is_required():
    table = sbibm_table([RUN, RUN], [{"c2st": 0.5}, {"c2st": 0.53}])
    assert "| sir | 2 | 31,234 | 12 | ok | -7.123 +- 0.004 | 0.500 |" in table
    assert "| **0.530** |" in table
    assert "halves" not in table
    table = sbibm_table([RUN], [{"c2st": 0.5}], [{"c2st": 0.503}])
    assert table.splitlines()[-1].endswith("| 0.500 | 0.503 |")


@pytest.mark.parametrize(
    ("status", "accuracy", "passed"), [("ok", 0.52, True), ("ok", 0.521, False), ("incomplete", 0.5, False)]
)
def test_status_and_classifier_both_have_to_be_right(status, accuracy, passed):
    assert passes([RUN, RUN | {"status": status}], [{"c2st": 0.5}, {"c2st": accuracy}]) is passed


@pytest.mark.parametrize(
    "arguments", [["--tasks", "no_task"], ["--observations", "0"], ["--wheel", "nowhere"]]
)
def test_arguments_are_checked(arguments, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(arguments)
    assert "expected" in capsys.readouterr().err


OPTIONS = {"training": {"n_epochs": 3}}


def mixture_wheel(tmp_path, rng):
    """Two observations of the same data, with draws of their posterior."""
    data = np.array([1.0, -2.0])
    reference = data + rng.normal(size=(500, 2)) * rng.choice([1.0, 0.1], size=(500, 1))
    wheel = tmp_path / "a.whl"
    return make_wheel(wheel, "gaussian_mixture", (1, 2), reference=reference, observation=data)


# bilby lists the installed packages by pip, before which setuptools replaces what another test has imported.
@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils")
def test_a_run_agrees_with_a_closed_form(tmp_path, rng):
    wheel = mixture_wheel(tmp_path, rng)
    job = {"task": "gaussian_mixture", "observation": 1, "n_effective": 500, "options": OPTIONS}
    run = run_task(wheel, tmp_path / "draws", job)
    assert run["status"] == "ok"
    assert abs(run["log_evidence"] + np.log(400)) < 5 * run["log_evidence_err"]
    test = compare_draws(wheel, tmp_path / "draws", job | {"early_stopping": True})
    assert test["n_rows"] == 500
    # Four standard deviations of 1,000 guesses.
    assert test["c2st"] == pytest.approx(0.5, abs=0.064)
    json.dumps(run | test, default=float)


@pytest.mark.slow
def test_command_goes_on_where_it_was_ended(tmp_path, rng, capsys):
    wheel = mixture_wheel(tmp_path, rng)
    out = tmp_path / "out"
    options = ["--tasks", "gaussian_mixture", "--wheel", str(wheel), "--out", str(out), "--early-stopping"]
    options += ["--n-effective", "300", "--options", json.dumps(OPTIONS)]
    main(["sbibm", *options, "--observations", "1"])
    first = {name: read_records(out / f"{name}.jsonl") for name in ("runs", "tests")}
    main(["sbibm", *options, "--observations", "1,2"])
    assert capsys.readouterr().out.count("| gaussian_mixture | 1 |") == 2
    for name, before in first.items():
        every = read_records(out / f"{name}.jsonl")
        assert every[:1] == before
        assert [record["observation"] for record in every] == [1, 2]

"""Starts from former results: files that are made once, a command that resumes, a table, aspire's weights."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import bilby
import numpy as np
import pandas as pd
import pytest
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.reanalysis import command, former
from nbi_sampler_benchmark.reanalysis.former import Former, file_of, make
from nbi_sampler_benchmark.reanalysis.report import reanalysis_table
from nbi_sampler_benchmark.runs import runner
from nbi_sampler_benchmark.runs.peers import PEERS


def result_of(n):
    frame = pd.DataFrame({"m": np.linspace(0.1, 0.9, n), "c": np.zeros(n)})
    priors = bilby.core.prior.PriorDict({name: bilby.core.prior.Uniform(0, 1) for name in "mc"})
    result = bilby.core.result.Result(
        label="x", outdir=".", search_parameter_keys=["m", "c"], posterior=frame, sampler="nbi", priors=priors
    )
    result.nested_samples = frame.assign(weights=1 / n)
    return result


@pytest.fixture
def no_sampler(monkeypatch):
    asked = []

    def run_peer(sampler, likelihood, priors, **keywords):
        asked.append((sampler, keywords["seed"], keywords["options"]))
        likelihood.log_likelihood({"m": 0.5, "c": 0.2})
        return result_of(30)

    monkeypatch.setattr(former, "run_peer", run_peer)
    return asked


def test_a_former_result_has_the_first_rows_of_the_posterior_and_no_other_samples(no_sampler, tmp_path):
    path = tmp_path / "a" / "start_result.json"
    make(Former(problem="linear", n_rows=20, seed=7, options={"nlive": 3}), path)
    result = bilby.read_in_result(str(path))
    assert no_sampler == [("nbi", 7, {"nlive": 3})]
    np.testing.assert_allclose(result.posterior["m"], np.linspace(0.1, 0.9, 30)[:20])
    assert result.samples.shape == (20, 2) and result.num_likelihood_evaluations == 1
    with pytest.raises(ValueError, match="nested samples"):
        _ = result.nested_samples


def test_a_whole_former_result_keeps_its_weighted_samples(no_sampler, tmp_path):
    make(Former(problem="linear", n_rows=None), tmp_path / "start_result.json")
    result = bilby.read_in_result(str(tmp_path / "start_result.json"))
    assert len(result.nested_samples) == len(result.posterior) == 30


def test_too_few_rows_are_an_error_that_gives_their_number(no_sampler, tmp_path):
    with pytest.raises(ValueError, match="at most 30 rows, as the posterior has, got 31"):
        make(Former(problem="linear", n_rows=31), tmp_path / "start_result.json")


def test_equal_former_runs_have_one_file_and_others_another(tmp_path):
    first = Former(problem="linear", options={"nlive": 250})
    others = [Former(problem="linear"), Former(problem="linear", options={"nlive": 250}, n_rows=None)]
    assert file_of(first, tmp_path) == file_of(Former(problem="linear", options={"nlive": 250}), tmp_path)
    assert len({file_of(each, tmp_path) for each in [first, *others]}) == 3


@pytest.fixture
def no_runs(monkeypatch):
    started = []

    def made(asked, path, seconds):
        if asked.problem == "sine":
            return "failed"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}", encoding="utf-8")
        return None

    def pretend(run, *_):
        started.append(run)
        record = {key: getattr(run, key) for key in ("problem", "seed", "sampler", "n_effective", "options")}
        record |= {"calls": 1200, "ess": 1000.0, "calls_per_ess": 1.2, "status": "ok", "cpu_seconds": 2.0}
        record |= {"log_evidence": -1.0, "log_evidence_err": 0.01, "log_evidence_error": 0.02, "pull": 2.0}
        return record, "fine"

    monkeypatch.setattr(command, "_made", made)
    monkeypatch.setattr(runner, "_run_in_process", pretend)
    return started


def test_the_command_starts_each_seed_from_another_and_continues(no_runs, tmp_path, capsys):
    words = ["reanalysis", "--out", str(tmp_path / "r.jsonl"), "--folder", str(tmp_path / "former")]
    assert main([*words, "--problems", "linear", "--seeds", "1,2"]) == 0
    starts = [run.options["initial_result"] for run in no_runs]
    assert ["linear-nbi-101" in starts[0], "linear-nbi-102" in starts[1]] == [True, True]
    assert main([*words, "--problems", "linear,sine", "--seeds", "1,2"]) == 1
    assert len(no_runs) == 2
    shown = capsys.readouterr()
    assert "2 pulls: mean +2.00 +- 0.71, root mean square 2.00 +- 0.50 (required 0 and 1)" in shown.out
    assert "sine, nbi, seed 101: failed" in shown.err


def test_several_seeds_start_from_one_result_of_dynesty(no_runs, tmp_path):
    words = ["reanalysis", "--out", str(tmp_path / "r.jsonl"), "--folder", str(tmp_path / "former")]
    words += ["--former", "dynesty", "--former-seed", "1", "--rows", "0", "--options", '{"n_sims": 300}']
    assert main([*words, "--problems", "linear", "--seeds", "1,2", "--n-effective", "2500"]) == 0
    assert no_runs[0].options == no_runs[1].options and no_runs[0].options["n_sims"] == 300
    assert [run.n_effective for run in no_runs] == [2500, 2500]


def test_a_former_run_that_failed_is_not_tried_for_every_seed(no_runs, tmp_path, capsys):
    words = ["reanalysis", "--out", str(tmp_path / "r.jsonl"), "--folder", str(tmp_path / "former")]
    assert main([*words, "--problems", "sine", "--former-seed", "1", "--seeds", "1,2,3"]) == 1
    assert capsys.readouterr().err.count("sine, nbi, seed 1: failed") == 1 and not no_runs


def test_a_sampler_that_is_not_installed_is_said(no_runs, monkeypatch, capsys):
    monkeypatch.setattr(command, "missing", lambda name: "not installed" if name == "aspire" else None)
    assert main(["reanalysis", "--problems", "linear", "--sampler", "aspire"]) == 1
    assert "aspire: not installed" in capsys.readouterr().err and not no_runs


def test_a_run_without_an_evidence_has_a_row_and_no_pull():
    record = {"problem": "linear", "sampler": "aspire", "seed": 1, "calls": 5, "ess": 5.0, "cpu_seconds": 1.0}
    record |= {"calls_per_ess": 1.0, "log_evidence": np.nan, "log_evidence_err": np.nan, "status": None}
    table = reanalysis_table([record | {"log_evidence_error": None, "pull": np.nan}])
    assert "| linear | aspire | 1 | 5 | 5 | 1.00 | nan +- nan | - | - | 1.0 | - |" in table
    assert table.endswith("No pulls.")


def test_the_weights_and_the_evidence_of_aspire_are_kept(monkeypatch):
    class Aspire:
        def add_samples_to_result(self, samples):
            self.given = samples

    monkeypatch.setitem(sys.modules, "aspire_bilby", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "aspire_bilby.plugin", SimpleNamespace(Aspire=Aspire))
    add = Aspire.add_samples_to_result
    samples = SimpleNamespace(x=np.ones((2, 2)), log_w=np.log([300.0, 100.0]), log_likelihood=np.zeros(2))
    samples.log_evidence, samples.log_evidence_error = np.array(5.0), np.array(0.5)
    result = result_of(3)
    with PEERS["aspire"].afterwards() as complete:
        Aspire().add_samples_to_result(samples)
        complete(result)
    np.testing.assert_allclose(result.nested_samples["weights"], [0.75, 0.25])
    assert (result.log_evidence, result.log_evidence_err) == (5.0, 0.5)
    assert Aspire.add_samples_to_result is add

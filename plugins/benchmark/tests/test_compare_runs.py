"""Runs of several samplers are made and kept: `benchmark compare`."""

from __future__ import annotations

import json
import sys

import bilby
import numpy as np
import pytest
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.problems.loader import describe
from nbi_sampler_benchmark.problems.registry import get_problem
from nbi_sampler_benchmark.runs import peers, runner
from nbi_sampler_benchmark.runs.progress import RunsProgress
from nbi_sampler_benchmark.samplers import command as side_by_side


def test_missing_peer_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert peers.missing("pocomc") == "not installed: pip install pocomc pocomc-bilby"
    assert peers.missing("nbi") is None
    assert "expected one of nbi, dynesty" in peers.missing("no_such_sampler")
    assert peers.missing("emcee") is None


def test_bilby_is_spared_its_list_of_packages_and_gets_it_back():
    before = bilby.core.sampler.env_package_list
    with peers.run_quietly():
        assert bilby.core.sampler.env_package_list(as_dataframe=True).empty
    assert bilby.core.sampler.env_package_list is before


def test_nautilus_runs_as_a_sampler_of_bilby(tmp_path):
    pytest.importorskip("nautilus")
    problem = get_problem("linear")
    options = {"n_live": 200, "n_eff": 300, "n_networks": 0}
    before = np.random.get_state()
    run = dict(seed=1, outdir=str(tmp_path), options=options)
    result = peers.run_peer("nautilus", problem.likelihood, problem.priors, **run)
    np.random.set_state(before)
    assert abs(result.log_evidence - problem.log_evidence) < 5 * result.log_evidence_err
    assert result.nested_samples["weights"].sum() == pytest.approx(1)
    assert result.num_likelihood_evaluations > 200 and len(result.posterior) > 100
    assert result.posterior["m"].mean() == pytest.approx(0.48, abs=0.03)


def test_run_is_given_up_after_its_time(monkeypatch):
    failure = runner.failure_of([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)
    assert failure == "failed: not finished within 0.5 s"
    assert "code 3" in runner.failure_of([sys.executable, "-c", "raise SystemExit(3)"], 60)


def test_equal_runs_share_a_file_of_draws_and_others_do_not():
    run = runner.Run(problem="a/line.py", seed=1, options={"b": 1, "a": 2})
    assert runner.draws_file(run).startswith("line-nbi-1-")
    assert runner.draws_file(run) == runner.draws_file(
        runner.Run(problem="a/line.py", seed=1, options={"a": 2, "b": 1})
    )
    assert runner.draws_file(run) != runner.draws_file(runner.Run(problem="b/line.py", seed=1))


def test_records_of_before_slowed_runs_are_still_read():
    record = {
        "problem": "linear",
        "seed": 1,
        "n_effective": 5000,
        "sampler": "nbi",
        "options": {},
        "calls": 3,
    }
    assert runner.run_of(record) == runner.Run(problem="linear", seed=1)


def test_progress_says_what_runs_and_how_far_it_is(tmp_path, capsys):
    progress, calls = RunsProgress(2), tmp_path / "calls"
    run = runner.Run(problem="x/line.py", seed=3, sampler="dynesty", sleep=0.001)
    with progress.running(run, calls):
        assert "line dynesty seed 3 (+1 ms): 0 calls" in progress.line()
        calls.write_text("12345")
        assert "12,345 calls" in progress.line()
    progress.tell(run, "fine")
    assert progress.line() == "1 of 2 runs done"
    assert capsys.readouterr().out == "[1/2] line dynesty seed 3 (+1 ms): fine\n"


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """Runs that cost nothing; gives the list of those made."""
    made = []

    def run_in_process(run, progress, draws, seconds):
        made.append(run)
        if run.sampler == "pocomc":
            return None, "failed"
        draws.mkdir(exist_ok=True)
        theta = np.random.default_rng(run.seed).normal(size=(500, 2))
        np.savez(draws / runner.draws_file(run), names=("m", "c"), theta=theta, weights=np.full(500, 1 / 500))
        numbers = dict(log_evidence=-1.0, log_evidence_err=0.1, calls=900, seconds=3.0, cpu_seconds=2.0)
        extra = dict(status=None, likelihood_seconds=1.0, peak_memory=200.0)
        return vars(run) | numbers | extra, "fine"

    known = describe(get_problem("linear")) | {"digest": "abc", "log_evidence": None}
    monkeypatch.setattr(runner, "_run_in_process", run_in_process)
    monkeypatch.setattr(side_by_side, "_described", lambda source: known)
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name == "ultranest" else True)
    monkeypatch.setattr("nbi_sampler_benchmark.samplers.page.page", lambda comparison: comparison.title)
    return made


def test_command_runs_what_is_new_and_reports_on_what_is_asked(pretended, tmp_path, capsys):
    words = ["compare", "linear", "--out", str(tmp_path), "--likelihood-ms", "5"]
    assert main([*words, "--samplers", "nbi,ultranest,dynesty", "--seeds", "1,2"]) == 0
    assert [(run.sampler, run.seed) for run in pretended] == [
        ("nbi", 1),
        ("dynesty", 1),
        ("nbi", 2),
        ("dynesty", 2),
    ]
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["missing"] == {"ultranest": "not installed: pip install ultranest ultranest-bilby"}
    assert found["runs"][0]["seconds_if_slower"] == {"5 ms": pytest.approx(3.0 + 900 * 0.005)}
    assert (tmp_path / "report.html").read_text() == "linear: nbi, dynesty"
    pretended.clear()
    # Another size asked of nbi leaves the others' runs as they are; another option does not.
    options = ["--options", '{"dynesty": {"nlive": 10}}', "--n-effective", "77"]
    assert main([*words, "--samplers", "nbi,dynesty,nautilus", *options]) == 0
    assert {run.sampler: run.n_effective for run in pretended} == {
        "nbi": 77,
        "dynesty": 5000,
        "nautilus": 5000,
    }
    pretended.clear()
    assert main([*words, "--samplers", "nbi,nautilus", "--n-effective", "77", "--sleep"]) == 0
    assert [(run.sampler, run.sleep) for run in pretended] == [("nbi", 0.005), ("nautilus", 0.005)]


def test_command_goes_on_when_a_run_fails_and_names_it(pretended, tmp_path):
    words = ["compare", "linear", "--out", str(tmp_path), "--samplers", "nbi,pocomc"]
    assert main(words) == 1
    assert json.loads((tmp_path / "report.json").read_text())["missing"] == {
        "pocomc, seed 1": "the run failed"
    }


def test_command_without_a_single_run_says_so(pretended, tmp_path, capsys):
    assert main(["compare", "linear", "--out", str(tmp_path), "--samplers", "pocomc"]) == 1
    assert "no run to report on" in capsys.readouterr().err

"""Problems come from scripts, calls are counted in the likelihood, and runs are kept: `benchmark compare`."""

from __future__ import annotations

import json
import math
import sys
import time

import bilby
import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform

from nbi_sampler.benchmark import peers, runner, side_by_side
from nbi_sampler.benchmark.__main__ import main
from nbi_sampler.benchmark.board import Board
from nbi_sampler.benchmark.metering import Meter, cpu_seconds, peak_memory
from nbi_sampler.benchmark.problems import get_problem
from nbi_sampler.benchmark.sources import describe, load_problem
from nbi_sampler.forward import forward_model_for

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


def test_calls_are_counted_in_the_likelihood_and_it_is_still_recognised():
    likelihood, other = get_problem("linear").likelihood, get_problem("linear").likelihood
    point, meter = {"m": 0.5, "c": 0.2}, Meter()
    plain = likelihood.log_likelihood(point)
    with meter.attached_to(likelihood):
        assert likelihood.log_likelihood(point) == plain
        likelihood.log_likelihood_ratio(point)
        other.log_likelihood(point)
        assert meter.calls == 2 and meter.seconds > 0
        model = forward_model_for(likelihood)
        model.simulate(point)
        model.simulate_batch({"m": np.full(7, 0.5), "c": np.zeros(7)})
        assert meter.calls == 2 + 1 + 7
    likelihood.log_likelihood(point)
    assert meter.calls == 10


def test_likelihood_with_a_method_of_its_own_object_is_counted_too():
    likelihood = get_problem("eggbox").likelihood
    likelihood.log_likelihood = lambda parameters: 1.5
    meter = Meter()
    with meter.attached_to(likelihood):
        assert likelihood.log_likelihood({}) == 1.5
    assert meter.calls == 1 and likelihood.log_likelihood({}) == 1.5 and meter.calls == 1


def test_slowed_down_likelihood_takes_longer_for_each_point():
    likelihood = get_problem("linear").likelihood
    meter = Meter(sleep=0.005)
    with meter.attached_to(likelihood):
        start = time.perf_counter()
        forward_model_for(likelihood).simulate_batch({"m": np.full(6, 0.5), "c": np.zeros(6)})
        assert time.perf_counter() - start >= 0.03 and meter.seconds >= 0.03


def test_calls_that_raise_count_and_let_the_next_ones_count():
    class Failing(bilby.Likelihood):
        def log_likelihood(self, parameters=None):
            raise ArithmeticError

    likelihood, meter = Failing(), Meter()
    with meter.attached_to(likelihood):
        for _ in range(2):
            with pytest.raises(ArithmeticError):
                likelihood.log_likelihood({})
    assert meter.calls == 2


def test_memory_and_processor_time_are_those_of_this_process():
    before = cpu_seconds()
    block = np.ones((4000, 4000))
    assert peak_memory() > block.nbytes / 2**20
    while time.process_time() < 0.05 or cpu_seconds() == before:
        block += 1
    assert cpu_seconds() > before


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


def test_board_says_what_runs_and_how_far_it_is(tmp_path, capsys):
    board, calls = Board(2), tmp_path / "calls"
    run = runner.Run(problem="x/line.py", seed=3, sampler="dynesty", sleep=0.001)
    with board.running(run, calls):
        assert "line dynesty seed 3 (+1 ms): 0 calls" in board.line()
        calls.write_text("12345")
        assert "12,345 calls" in board.line()
    board.tell(run, "fine")
    assert board.line() == "1 of 2 runs done"
    assert capsys.readouterr().out == "[1/2] line dynesty seed 3 (+1 ms): fine\n"


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """Runs that cost nothing; gives the list of those made."""
    made = []

    def run_in_process(run, board, draws, seconds):
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
    monkeypatch.setattr("nbi_sampler.benchmark.report_html.page", lambda comparison: comparison.title)
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
    assert "seed the generator that makes its data" in capsys.readouterr().out


def test_priors_are_those_of_the_script_after_bilby_has_filled_them(script):
    assert isinstance(load_problem(str(script)).priors["m"], Uniform)

"""A run that is stopped, in any phase and by any means, goes on: the same answer, and no call paid twice."""

from __future__ import annotations

import os
import signal
import threading
import time

import bilby
import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import PriorDict, Uniform

import nbi_sampler.training.fit
from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.persistence.draws_file import read_draws
from nbi_sampler.sampler import Nbi

QUICK = dict(n_effective=500, n_sims=250, n_rounds=1, seed=1, print_method="none", save=False)
QUICK |= {"training": {"n_epochs": 6}}
# A run of one batch, where nothing else matters.
SHORT = dict(max_likelihood_calls=300)

TIMES = ("seconds_simulating", "seconds_training", "seconds_sampling")


class Stopping:
    """Does something at one of the likelihood's calls, and remembers all of them."""

    def __init__(self, at=None, then=None):
        self.at, self.then = at, then
        self.calls = []

    def called(self, *parameters):
        if len(self.calls) + 1 == self.at:
            self.at = None
            self.then()
        self.calls.append(parameters)


class Bowl(Likelihood):
    """A Gaussian whose noise law is not known: prior, refinement, final draws."""

    def __init__(self, stopping, width=0.8):
        super().__init__()
        self.stopping, self.width = stopping, width

    def log_likelihood(self, parameters):
        self.stopping.called(parameters["m"], parameters["c"])
        return -0.5 * (parameters["m"] ** 2 + (parameters["c"] - 1) ** 2) / self.width**2


def line_likelihood(stopping, shift=0.0):
    """A straight line with known noise, so that rounds of simulations come first."""
    x = np.linspace(0, 1, 25)
    data = 1.5 * x + 0.3 + 0.5 * np.random.default_rng(4).normal(size=25)

    def line(x, m, c):
        # Not for columns: calls are to be counted one by one.
        stopping.called(float(m), float(c))
        return float(m) * x + float(c)

    return GaussianLikelihood(x, data + shift, line, sigma=0.5)


@pytest.fixture
def run(tmp_path):
    """Run the sampler through bilby, quickly, on a problem that may stop it."""

    def run(likelihood, **keywords):
        priors = PriorDict({"m": Uniform(-3, 3), "c": Uniform(-3, 3)})
        settings = QUICK | {"outdir": str(tmp_path), "label": "x"} | keywords
        return bilby.run_sampler(likelihood, priors, sampler="nbi", **settings)

    return run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Runs that are never stopped, with their calls, made when they are first asked for."""
    made = {}

    def unbroken(make):
        if make not in made:
            stopping = Stopping()
            priors = PriorDict({"m": Uniform(-3, 3), "c": Uniform(-3, 3)})
            settings = QUICK | {"outdir": str(tmp_path_factory.mktemp("unbroken"))}
            made[make] = bilby.run_sampler(make(stopping), priors, sampler="nbi", **settings), stopping.calls
        return made[make]

    return unbroken


def checkpoint(tmp_path):
    return tmp_path / "nbi_x" / "checkpoint.npz"


def assert_equal(result, expected):
    """Compare two results bit for bit, but for the times."""
    assert result.log_evidence == expected.log_evidence
    assert result.log_evidence_err == expected.log_evidence_err
    assert result.num_likelihood_evaluations == expected.num_likelihood_evaluations
    np.testing.assert_array_equal(result.samples, expected.samples)
    for name in ("m", "c", "log_likelihood", "weights"):
        np.testing.assert_array_equal(result.nested_samples[name], expected.nested_samples[name])
    tables = [
        [{key: row[key] for key in row if key not in TIMES} for row in each.meta_data["nbi"]["rounds"]]
        for each in (result, expected)
    ]
    assert tables[0] == tables[1]


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    # The handler runs in this thread before many more lines of Python.
    for _ in range(10_000):
        pass


def assert_no_call_paid_twice(stopped, resumed, result):
    """Every draw is evaluated once; bilby's timing, the probes and one check may come besides."""
    calls = [*stopped.calls, *resumed.calls]
    again = set(stopped.calls) & set(resumed.calls)
    assert len(again) <= 6 + 1
    assert len(set(calls)) >= result.num_likelihood_evaluations
    assert len(calls) <= result.num_likelihood_evaluations + 2 * 130 + 1


def place(table, phase, share):
    """Number of the call that is a ``share`` of the way into the first batch of a phase."""
    before = 0
    for row in table:
        if row["phase"] == phase:
            return before + int(share * row["n_calls"])
        before += row["n_calls"]
    raise LookupError(phase)


PLACES = [
    (Bowl, "prior", 0.0),
    (Bowl, "prior", 0.7),
    (Bowl, "refinement", 0.5),
    (Bowl, "final", 0.4),
    (line_likelihood, "prior", 0.3),
    (line_likelihood, "rounds", 0.6),
    (line_likelihood, "refinement", 0.99),
    (line_likelihood, "final", 0.1),
]


@pytest.mark.parametrize(("make", "phase", "share"), PLACES)
def test_stopped_by_a_signal_and_resumed_is_as_if_never_stopped(run, unbroken, tmp_path, make, phase, share):
    expected, calls = unbroken(make)
    before_the_run = len(calls) - expected.num_likelihood_evaluations
    at = before_the_run + place(expected.meta_data["nbi"]["rounds"], phase, share) + 1
    stopped, resumed = Stopping(at, terminate), Stopping()
    with pytest.raises(SystemExit) as caught:
        run(make(stopped), exit_code=77)
    assert caught.value.code == 77
    assert checkpoint(tmp_path).exists() == (phase != "prior" or share > 0)
    result = run(make(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)
    assert result.sampling_time > 0


@pytest.mark.parametrize("make", [line_likelihood, Bowl])
def test_stopped_while_a_network_trains(run, unbroken, monkeypatch, make):
    expected, _ = unbroken(make)
    steps, at, original = [], 12, nbi_sampler.training.fit._step

    def step(*arguments):
        steps.append(0)
        if len(steps) == at:
            terminate()
        return original(*arguments)

    monkeypatch.setattr(nbi_sampler.training.fit, "_step", step)
    stopped, resumed = Stopping(), Stopping()
    with pytest.raises(SystemExit):
        run(make(stopped))
    assert len(steps) == at
    result = run(make(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)


def test_stopped_between_a_batch_and_its_place_in_the_history(run, unbroken, monkeypatch):
    """The evaluator has ended, the state does not know yet: the calls are paid for all the same."""
    expected, _ = unbroken(Bowl)
    original, seen = nbi_sampler.algorithm.step.Draws, []

    def draws(*arguments):
        seen.append(0)
        if len(seen) == 2:
            terminate()
        return original(*arguments)

    monkeypatch.setattr("nbi_sampler.algorithm.step.Draws", draws)
    stopped, resumed = Stopping(), Stopping()
    with pytest.raises(SystemExit):
        run(Bowl(stopped))
    result = run(Bowl(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)


def test_killed_outright_goes_on_from_the_last_checkpoint(run, unbroken, tmp_path):
    """As by SIGKILL: nothing is written at the end; what was written before, while drawing, counts."""
    expected, calls = unbroken(Bowl)
    content = []

    def look():
        content.append(checkpoint(tmp_path).read_bytes())
        terminate()

    stopped, resumed = Stopping(len(calls) - 50, look), Stopping()
    with pytest.raises(SystemExit):
        run(Bowl(stopped), check_point_delta_t=1e-3)
    checkpoint(tmp_path).write_bytes(content[0])
    result = run(Bowl(resumed))
    assert_equal(result, expected)
    assert len(resumed.calls) < 0.5 * len(calls)


@pytest.mark.parametrize("error", [ZeroDivisionError("no such model"), KeyboardInterrupt()])
def test_an_error_costs_nothing_once_it_is_mended(run, unbroken, tmp_path, error):
    expected, calls = unbroken(Bowl)

    def fail():
        raise error

    stopped, resumed = Stopping(len(calls) - 100, fail), Stopping()
    with pytest.raises((LikelihoodError, KeyboardInterrupt)) as caught:
        run(Bowl(stopped))
    if isinstance(caught.value, LikelihoodError):
        assert f"The draws so far are in {checkpoint(tmp_path)}; run again to go on" in str(caught.value)
    assert len(read_draws(checkpoint(tmp_path))["z"]) == expected.num_likelihood_evaluations - 101
    result = run(Bowl(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)


def test_more_effective_samples_of_a_run_that_is_complete(run, tmp_path, bilby_log):
    first, second, third = Stopping(), Stopping(), Stopping()
    before = run(Bowl(first))
    again = run(Bowl(second))
    assert_equal(again, before)
    assert len(second.calls) < 130
    assert again.sampling_time >= 0.9 * before.sampling_time
    more = run(Bowl(third), n_effective=1200)
    assert more.meta_data["nbi"]["ess"] >= 1200
    assert more.num_likelihood_evaluations > before.num_likelihood_evaluations
    assert_no_call_paid_twice(first, third, more)
    assert bilby_log.text.count("nbi: goes on from") == 2


def test_more_calls_for_a_run_that_had_too_few(run, unbroken):
    expected, _ = unbroken(Bowl)
    first, second = Stopping(), Stopping()
    poor = run(Bowl(first), max_likelihood_calls=expected.num_likelihood_evaluations - 300)
    assert poor.meta_data["nbi"]["status"] != "ok"
    rich = run(Bowl(second))
    assert rich.meta_data["nbi"]["status"] == "ok"
    assert_no_call_paid_twice(first, second, rich)


def test_changed_data_are_told_and_start_afresh(run, tmp_path, bilby_log):
    run(line_likelihood(Stopping()), **SHORT)
    changed = Stopping()
    result = run(line_likelihood(changed, shift=0.01), **SHORT)
    assert len(changed.calls) >= result.num_likelihood_evaluations
    (warning,) = [r.getMessage() for r in bilby_log.records if "is not used" in r.getMessage()]
    assert "values of the likelihood" in warning
    assert sorted(each.name for each in checkpoint(tmp_path).parent.iterdir()) == [
        *("checkpoint.npz", "checkpoint.old-1.npz"),
    ]


def test_starting_afresh_on_request_removes_the_file(run, tmp_path, bilby_log):
    first, second = Stopping(), Stopping(300, terminate)
    run(Bowl(first), **SHORT)
    with pytest.raises(SystemExit):
        run(Bowl(second), resume=False)
    assert "goes on" not in bilby_log.text and "is not used" not in bilby_log.text
    assert len(read_draws(checkpoint(tmp_path))["z"]) < 300


def test_without_a_seed_the_run_goes_on_with_the_one_it_had(run):
    first, second = Stopping(300, terminate), Stopping()
    with pytest.raises(SystemExit):
        run(Bowl(first), seed=None)
    result = run(Bowl(second), seed=None, **SHORT)
    assert_no_call_paid_twice(first, second, result)
    assert result.sampler_kwargs["seed"] == result.meta_data["nbi"]["seed"]


def test_bilbys_clean_starts_afresh(run, monkeypatch):
    monkeypatch.setattr(bilby.core.utils.command_line_args, "clean", True)
    run(Bowl(Stopping()), **SHORT)
    again = Stopping()
    result = run(Bowl(again), **SHORT)
    assert len(again.calls) >= result.num_likelihood_evaluations


def test_the_file_is_in_the_directory_that_the_scheduler_is_told_of(run, tmp_path):
    run(Bowl(Stopping()), **SHORT)
    (directory,) = Nbi.get_expected_outputs(outdir=str(tmp_path), label="x")[1]
    assert [each.name for each in os.scandir(directory)] == ["checkpoint.npz"]


def test_a_forked_process_that_gets_the_signal_writes_nothing(run, tmp_path):
    """A worker made by the user's own code inherits the handlers."""
    codes = []

    def fork():
        child = os.fork()
        if child == 0:
            terminate()
            os._exit(1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    run(Bowl(Stopping(300, fork)), exit_code=77, **SHORT)
    assert codes == [77]


class SlowBowl(Bowl):
    """Slow enough to be interrupted by the clock while other processes work for it."""

    def log_likelihood(self, parameters):
        time.sleep(0.004)
        return super().log_likelihood(parameters)


@pytest.mark.parametrize(("npool", "then"), [(2, 1), (1, 2)])
def test_goes_on_with_another_number_of_processes(run, unbroken, tmp_path, npool, then):
    """SIGALRM, as bilby_pipe sets it, comes while the workers of a pool are at work."""
    expected, _ = unbroken(Bowl)
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGALRM))
    timer.start()
    try:
        with pytest.raises(SystemExit):
            run(SlowBowl(Stopping()), npool=npool)
    finally:
        timer.cancel()
    assert 0 < len(read_draws(checkpoint(tmp_path))["z"]) < expected.num_likelihood_evaluations
    # The class is part of what a run is of; how long it takes is not.
    assert_equal(run(SlowBowl(Stopping()), npool=then), expected)

"""Problems that stop their run, and how the run that goes on is compared with one never stopped."""

from __future__ import annotations

import os
import signal

import numpy as np
from bilby.core.likelihood import GaussianLikelihood, Likelihood

from nbi_sampler.reports.meta_data import rounds_of

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
    for name in ("predictive_p_values", "at_prior_edge"):
        assert result.meta_data["nbi"][name] == expected.meta_data["nbi"][name]
    tables = [
        [{key: row[key] for key in row if key not in TIMES} for row in rounds_of(each)]
        for each in (result, expected)
    ]
    assert tables[0] == tables[1]


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    # The handler runs in this thread before many more lines of Python.
    for _ in range(10_000):
        pass


def assert_no_call_paid_twice(stopped, resumed, result):
    """Every draw is evaluated once; bilby's timing, the probes and one check may come besides.

    The call that a signal came in does not count, and is made again.
    """
    calls = [*stopped.calls, *resumed.calls]
    again = set(stopped.calls) & set(resumed.calls)
    assert len(again) <= 6 + 1 + 1
    assert len(set(calls)) >= result.num_likelihood_evaluations
    assert len(calls) <= result.num_likelihood_evaluations + 2 * 130 + 2

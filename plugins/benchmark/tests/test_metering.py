"""Calls, time and memory of a run are counted in its likelihood and its process."""

from __future__ import annotations

import time

import bilby
import numpy as np
import pytest
from nbi_sampler_benchmark.problems.registry import get_problem
from nbi_sampler_benchmark.runs.metering import Meter, cpu_seconds, peak_memory

from nbi_sampler.forward import forward_model_for


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

"""Threads: few for our own small matrices, the user's own for the user's likelihood."""

from __future__ import annotations

import pytest
import threadpoolctl
import torch
import toys

from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.networks.devices import limited_threads


def in_use():
    return {torch.get_num_threads(), *(each["num_threads"] for each in threadpoolctl.threadpool_info())}


@pytest.fixture
def many_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with threadpoolctl.threadpool_limits(3):
        yield
    torch.set_num_threads(before)


def test_numbers_are_put_back_even_after_an_error(many_threads):
    with limited_threads(2):
        assert in_use() == {2}
    assert in_use() == {3}
    with pytest.raises(KeyboardInterrupt), limited_threads(1):
        raise KeyboardInterrupt
    assert in_use() == {3}


def test_a_run_computes_with_its_own_and_calls_the_likelihood_with_the_users(many_threads):
    function, _ = toys.bump([0.4] * 2, 0.2)
    of_likelihood, of_fits = set(), set()

    def likelihood(theta):
        of_likelihood.update(in_use())
        return function(theta)

    class Looking(Observer):
        def epoch_finished(self, *values):
            of_fits.update(in_use())

    config = SnpeConfig(n_effective=1500, n_sims=500, max_likelihood_calls=5000)
    run(toys.likelihood_only(likelihood, 2), config, 1, Looking())
    assert (of_likelihood, of_fits) == ({3}, {1})

"""Threads: few for our own small matrices, the user's own for the user's likelihood."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
import threadpoolctl
import torch
import toys
from bilby.core.prior import Gaussian, PriorDict

from nbi_sampler import NBI
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.core.config import SnpeConfig, TrainingConfig
from nbi_sampler.networks.devices import limited_threads
from nbi_sampler.sampler.keywords import DEFAULTS, read_settings


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


def test_a_run_computes_with_its_own_and_calls_the_likelihood_with_the_users(many_threads, small_fits):
    function, _ = toys.bump([0.4] * 2, 0.2)
    of_likelihood, of_fits = set(), set()

    calls = itertools.count()

    def likelihood(theta):
        # A look takes a hundred times as long as a call.
        if next(calls) % 50 == 0:
            of_likelihood.update(in_use())
        return function(theta)

    class Looking(Observer):
        def epoch_finished(self, *values):
            of_fits.update(in_use())

    config = SnpeConfig(n_effective=1500, n_sims=500, max_likelihood_calls=5000)
    run(toys.likelihood_only(likelihood, 2, TrainingConfig(n_epochs=2)), config, 1, Looking())
    assert (of_likelihood, of_fits) == ({3}, {1})


# More would wait for each other if the machine does other work: a step took 0.5 s instead of 0.03 s.
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="counts the cores in another way")
class TestShortSeriesTakeOneThread:
    @pytest.fixture(autouse=True)
    def four_cores(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)))

    def test_in_a_run(self):
        settings = read_settings({**DEFAULTS, "featurizer": "resnet-gru", "seed": 1})
        assert [settings.threads(n_numbers) for n_numbers in (50, 5000)] == [1, 4]
        settings = read_settings({**DEFAULTS, "training": {"n_threads": 2}, "seed": 1})
        assert settings.threads(50) == 2

    @pytest.mark.takes_seconds
    @pytest.mark.parametrize("n_rounds", [1, 2])
    def test_in_a_training_for_all_targets_and_in_rounds(self, n_rounds):
        x, of_fits = np.linspace(0.0, 1.0, 12), set()
        priors = PriorDict({"p0": Gaussian(0.0, 1.0)})
        engine = NBI({"num_blocks": 1}, "resnet-gru", lambda p: p["p0"] * x, 0.5, priors, seed=1)
        observed = {"x_obs": 0.5 * x} if n_rounds > 1 else {}
        engine.fit(
            **{"n_sims": 100, "n_rounds": n_rounds, "n_epochs": 1, "print_method": "none", **observed},
            on_epoch=lambda *values: of_fits.update(in_use()),
        )
        assert of_fits == {1}

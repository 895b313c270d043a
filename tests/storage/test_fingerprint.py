"""The fingerprint of a run: every change that matters is named, and no other."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.sampler.keywords import DEFAULTS
from nbi_sampler.storage.fingerprint import RUN_KEYWORDS, differences, fingerprint


def line_evaluator(data, priors=None, use_ratio=False):
    x = np.linspace(0, 1, len(data))
    likelihood = GaussianLikelihood(x, data, lambda x, m, c: m * x + c, sigma=0.5)
    priors = priors or PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5)})
    rng = np.random.default_rng(0)
    evaluator = Evaluator(
        ParameterSpace(priors), lambda p: likelihood.log_likelihood(parameters=p), None, rng
    )
    return priors, likelihood, use_ratio, evaluator


def printed(data=None, priors=None, use_ratio=False, **keywords):
    data = np.linspace(0, 2, 30) if data is None else data
    priors, likelihood, use_ratio, evaluator = line_evaluator(data, priors, use_ratio)
    made = fingerprint(priors, likelihood, DEFAULTS | keywords, use_ratio, evaluator)
    return json.loads(json.dumps(made))


class Network(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        with seeded_modules(np.random.default_rng()):
            self.layer = torch.nn.Linear(width, 2)


def other_data():
    data = np.linspace(0, 2, 30)
    data[17] += 1e-4
    return data


def some_function(parameters):
    return parameters


CHANGES = {
    "values of the likelihood": dict(data=other_data()),
    "prior of m": dict(priors=PriorDict({"m": Uniform(-5, 5.01), "c": Uniform(-5, 5)})),
    "prior of d": dict(priors=PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5), "d": 0.0})),
    "n_rounds (10, now 3)": dict(n_rounds=3),
    "n_sims ('auto', now 500)": dict(n_sims=500),
    "loss ('nll', now 'apt')": dict(loss="apt"),
    "refine (True, now False)": dict(refine=False),
    "featurizer": dict(featurizer=Network(3)),
    "flow": dict(flow={"type": "maf", "n_mog": 3}),
    "simulator": dict(simulator=some_function),
    "noise": dict(noise=np.ones(3)),
    "x_obs": dict(x_obs=[1.0, 2.0]),
    "vectorized ('auto', now False)": dict(vectorized=False),
    "training": dict(training={"n_epochs": 3}),
    "use_ratio (False, now True)": dict(use_ratio=True),
}


@pytest.mark.parametrize(("named", "change"), CHANGES.items())
def test_every_change_of_the_run_is_named(named, change):
    found = differences(printed(), printed(**change))
    assert any(each.startswith(named) for each in found)
    assert len(found) <= 3


def test_the_same_run_has_no_differences_in_another_process_or_on_another_device():
    quick = {"n_threads": 4, "n_epochs": 3}
    elsewhere = dict(npool=4, device="cuda", print_method="none", check_point_delta_t=3, n_effective=9e4)
    assert differences(printed(training={"n_epochs": 3}), printed(training=quick, **elsewhere)) == []
    assert differences(printed(flow=Network(3)), printed(flow=Network(3))) == []
    assert len(differences(printed(flow=Network(3)), printed(flow=Network(4)))) == 1
    assert differences(printed(noise=np.ones(3)), printed(noise=np.ones(3))) == []


PARTS = {"type": "joined", "parts": [{"type": "pca", "shape": [1, 20]}, {"type": "mlp", "shape": [1, 10]}]}
OTHER_PARTS = {**PARTS, "parts": [{"type": "pca", "shape": [1, 20]}, {"type": "svd", "shape": [1, 10]}]}
RAGGED, OTHER_RAGGED = [np.zeros(3), np.zeros(5)], [np.zeros(3), np.ones(5)]


@pytest.mark.parametrize(
    ("keyword", "first", "second"),
    [
        ("featurizer", PARTS, OTHER_PARTS),
        ("x_obs", RAGGED, OTHER_RAGGED),
        ("x_obs", pd.Series([1.0, 2.0]), pd.Series([1.0, 3.0])),
        ("noise", torch.ones(3), 2 * torch.ones(3)),
        ("noise", partial(some_function, width=1.0), partial(some_function, width=2.0)),
    ],
    ids=["parts", "lengths", "series", "tensors", "partial"],
)
def test_what_is_within_a_list_or_a_container_is_compared_too(keyword, first, second):
    assert differences(printed(**{keyword: first}), printed(**{keyword: deepcopy(first)})) == []
    assert len(differences(printed(**{keyword: first}), printed(**{keyword: second}))) == 1


def test_every_keyword_of_the_algorithm_is_compared_or_meant_to_differ():
    free = {"n_effective", "max_likelihood_calls", "seed", "device", "npool", "pool", "resume"}
    free |= {"check_point_delta_t", "check_point_plot", "plot_format", "print_method"}
    assert set(RUN_KEYWORDS) | free == set(DEFAULTS)


@pytest.mark.parametrize("name", ["nbi_sampler", "bilby", "numpy", "torch"])
def test_another_version_is_another_run(name):
    now = printed()
    assert differences({**now, f"version of {name}": "0.0.1"}, now) == [
        f"version of {name} ('0.0.1', now {now[f'version of {name}']!r})"
    ]

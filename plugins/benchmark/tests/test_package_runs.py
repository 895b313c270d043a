"""Packages that train once: their environments, and answers in the coordinates of the task."""

from __future__ import annotations

import os
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from nbi_sampler_benchmark.packages.catalogue import ADAPTERS, PACKAGES, package_named
from nbi_sampler_benchmark.packages.environments import EnvironmentMissing, cache_folder, python_for
from nbi_sampler_benchmark.packages.inside.worker import Answer
from nbi_sampler_benchmark.packages.runs import PackageRun, Sizes, make_run
from nbi_sampler_benchmark.packages.scoring import score
from package_cases import answered
from scipy.stats import multivariate_normal

pytestmark = pytest.mark.filterwarnings("ignore:Parameter attribute queried:FutureWarning")


def is_normalised(given):
    """Check that densities are those of the draws: the mean of p over q is one for any density p."""
    for draws, log_q in zip(given.draws, given.draws_log_q, strict=True):
        # A Gaussian well within the draws.
        within = multivariate_normal(draws.mean(0), 0.25 * np.cov(draws.T))
        ratio = np.exp(within.logpdf(draws) - log_q)
        assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio))


def test_this_package_answers_in_its_coordinates(line):
    package = PACKAGES["nbi_sampler"]
    assert package.latent
    options = {"training": {"n_epochs": 10}, "featurizer": {"hidden": 32, "depth": 1}}
    task, held_out, given = answered(line, package.adapter, True, options, n_sims=1000)
    is_normalised(given)
    found = score(line, held_out, given, task, True)
    # As much as it learns in ten epochs, of about 5 nats.
    assert 1.0 < found["gain"] < 5.5
    assert given.facts["epochs"] == 10


class Network:
    """A density of standardised parameters, as nbi has it: a Gaussian at its data's first two numbers."""

    def __init__(self, asked):
        self.asked = asked

    def __call__(self, data, parameters):
        import torch

        self.asked.append(data.shape)
        residual = parameters - 0.1 * data[:, 0, :2]
        return (0.5 * residual**2 + 0.5 * np.log(2 * np.pi)).sum(1, keepdim=True).to(torch.float32)


class FakeNBI:
    """The part of nbi 0.4.1 that the adapter uses."""

    def __init__(self, flow, featurizer, path):
        assert flow["n_dims"] == 2 and featurizer["type"] == "resnet-gru"
        self.asked = []

    def fit(self, x, y, noise, n_sims, plot, n_epochs, **training):
        contents = [np.load(path) for path in x]
        assert n_sims == len(y) and contents[0].shape == (2, 100)
        data, _ = noise(contents[0], y[0])
        # Fresh noise of the right size each time.
        assert not np.allclose(data, noise(contents[0], y[0])[0])
        assert np.std(data - contents[0][0]) == pytest.approx(1.0, abs=0.4)
        self.y_mean, self.y_std = y.mean(0, keepdims=True), y.std(0, keepdims=True)
        self.vloss = [2.0] * n_epochs
        self.network = types.SimpleNamespace(eval=lambda: None, parameters=lambda: [])

    def get_network(self):
        return Network(self.asked)

    def scale_x(self, x):
        return x - 1.0

    def scale_y(self, y):
        return (y - self.y_mean) / self.y_std

    def sample(self, x, n):
        standard = 0.1 * (x[:2] - 1.0) + np.random.default_rng(0).normal(size=(n, 2))
        return standard * self.y_std[0] + self.y_mean[0]


def test_the_original_package_is_brought_back_to_the_parameters(line, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbi", types.SimpleNamespace(NBI=FakeNBI))
    _, _, given = answered(
        line, PACKAGES["original-nbi"].adapter, False, {"training": {"n_epochs": 3}}, n_sims=200
    )
    is_normalised(given)
    assert given.facts["epochs"] == 3


class FakeWorkflow:
    """The part of bayesflow 2.0 that the adapter uses: a Gaussian at the first two data."""

    def __init__(self, inference_variables, inference_conditions, standardize):
        assert (inference_variables, inference_conditions, standardize) == ("theta", "x", "all")
        self.approximator = types.SimpleNamespace(count_params=lambda: 7)
        self.rng = np.random.default_rng(0)

    def fit_offline(self, data, epochs, verbose):
        assert {len(each) for each in data.values()} == {200} and not verbose
        return types.SimpleNamespace(history={"loss": [2.0] * epochs})

    def log_prob(self, data):
        residual = data["theta"] - data["x"][:, :2]
        return (-0.5 * residual**2 - 0.5 * np.log(2 * np.pi)).sum(1)

    def sample(self, num_samples, conditions):
        means = conditions["x"][:, None, :2]
        return {"theta": means + self.rng.normal(size=(len(means), num_samples, 2))}


def test_bayesflow_is_asked_in_blocks(line, monkeypatch):
    seeds = []
    utils = types.SimpleNamespace(set_random_seed=seeds.append)
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(utils=utils))
    monkeypatch.setitem(sys.modules, "bayesflow", types.SimpleNamespace(BasicWorkflow=FakeWorkflow))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    options = {"training": {"epochs": 3}, "workflow": {"standardize": "all"}}
    _, _, given = answered(line, PACKAGES["bayesflow"].adapter, False, options, n_sims=200)
    is_normalised(given)
    assert given.facts["epochs"] == 3 and seeds and os.environ["KERAS_BACKEND"] == "torch"


def wheel(folder):
    """A package of one empty module."""
    path = folder / "onlyhere-1.0-py3-none-any.whl"
    about = "onlyhere-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("onlyhere.py", "")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: onlyhere\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    return path


def test_environments_are_made_once_and_their_absence_is_explained(tmp_path):
    asked = (str(wheel(tmp_path)),)
    with pytest.raises(EnvironmentMissing, match="none may be made"):
        python_for(asked, tmp_path / "cache", install=False)
    python = python_for(asked, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    assert python.is_relative_to(place) and list(place.rglob("onlyhere.py"))
    stamp = (place / "complete").stat().st_mtime_ns
    assert python_for(asked, tmp_path / "cache", install=False) == python
    assert (place / "complete").stat().st_mtime_ns == stamp
    with pytest.raises(EnvironmentMissing, match=r"pip install .* failed: ERROR"):
        python_for((str(tmp_path / "nowhere-1.0-py3-none-any.whl"),), tmp_path / "cache")
    assert python_for((), tmp_path / "cache") == Path(sys.executable)


def test_every_package_has_an_adapter_and_the_torch_of_this_one():
    (pin,) = re.findall("^torch==.*$", (Path(__file__).parents[3] / "constraints.txt").read_text(), re.M)
    for package in PACKAGES.values():
        assert package.adapter.is_file() and package.adapter.parent == ADAPTERS
        assert pin in package.requirements or not package.requirements
    with pytest.raises(ValueError, match=r"expected some of nbi_sampler, .*sbi-maf"):
        package_named("tensorflow")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, options",
    [
        ("sbi-maf", {"training": {"max_num_epochs": 10}}),
        ("sbi-nsf", {"training": {"max_num_epochs": 5}, "embedding": "fc", "noise_draws": 2}),
        ("bayesflow", {"training": {"epochs": 3}}),
        ("original-nbi", {"training": {"n_epochs": 3}}),
    ],
)
def test_real_packages_answer_in_the_coordinates_of_the_task(tmp_path, line, name, options):
    package = PACKAGES[name]
    try:
        python = python_for(package.requirements, cache_folder(), install=False)
    except EnvironmentMissing as error:
        pytest.skip(str(error))
    kept = {}
    run = PackageRun(
        problem="linear",
        digest="",
        package=name,
        options=options,
        n_sims=500,
        seed=1,
        sizes=Sizes(n_held_out=100, n_targets=3, n_draws=1000),
    )
    original = Answer.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Answer, "load", lambda path: kept.setdefault("answer", original(path)))
        record = make_run(run, package, python, line, tmp_path)
    assert isinstance(record, dict), record
    is_normalised(kept["answer"])

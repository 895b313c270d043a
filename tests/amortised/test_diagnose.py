"""`NBI.diagnose`: a right engine passes at the nominal rate, a wrong one and strange data are named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from engine_cases import QUICK, T, an_engine, normal_priors, targets
from sklearn.exceptions import NotFittedError

from nbi_sampler import NBI
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.core.config import DIAGNOSIS
from nbi_sampler.networks.flows import Density
from nbi_sampler.reports.diagnostics import local

DESIGN = np.stack([T, np.ones(len(T))], 1)


@pytest.fixture(autouse=True)
def few_permutations(monkeypatch):
    monkeypatch.setattr(local, "DIAGNOSIS", dataclasses.replace(DIAGNOSIS, n_permutations=999))


class Gaussian(Density):
    """N(mean, L L^T) whose mean and L are the context."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def log_prob(self, z, context=None):
        mean, factor = context[:, :2], context[:, 2:].reshape(-1, 2, 2)
        return torch.distributions.MultivariateNormal(mean, scale_tril=factor).log_prob(z)

    def sample(self, n, context=None, generator=None):
        mean, factor = context[:, :2], context[:, 2:].reshape(-1, 2, 2)
        normal = torch.randn(n, 2, 1, generator=generator)
        return mean + (factor @ normal)[..., 0]


class Exact(Estimator):
    """The exact posterior of a line, scaled and shifted by as many of its standard deviations."""

    scale, shift = 1.0, 0.0

    def features(self, observation):
        rows = []
        for x, x_err in zip(observation.x[:, 0], observation.x_err[:, 0], strict=True):
            covariance = np.linalg.inv(np.eye(2) + DESIGN.T @ (DESIGN / x_err[:, None] ** 2))
            mean = covariance @ DESIGN.T @ (x / x_err**2)
            mean = mean + self.shift * np.sqrt(np.diag(covariance))
            rows.append([*mean, *(self.scale * np.linalg.cholesky(covariance)).ravel()])
        return torch.tensor(np.array(rows), dtype=torch.float32)


@pytest.fixture(scope="module")
def trained():
    return an_engine().fit(400, n_epochs=1, training=QUICK, print_method="none")


@pytest.fixture
def engine(trained):
    """An engine whose posterior can be exact, or wrong by what a test says."""
    made = an_engine()
    known = trained.estimator_
    affine = AffineMap(np.zeros(2), np.eye(2))
    parts = (known.featurizer, Gaussian(), affine, known.summary, known.ood_test)
    made.estimator_ = Exact(known.space, known.data_format, *parts)
    return made


@pytest.mark.takes_seconds
def test_a_right_engine_passes_and_its_weights_are_even(engine, tmp_path):
    _, x, x_err = targets(3)
    found = engine.diagnose(x, x_err, path=tmp_path / "page.html", n_sims=500)
    assert found.passed and not found.problems
    assert (tmp_path / "page.html").read_text().count("<h2>") == 6
    assert all(check.weighted and check.efficiency > 0.99 for check in found.checks)
    # The same seed, the same answer.
    assert engine.diagnose(x, x_err, path=None, n_sims=500).table.equals(found.table)


@pytest.mark.takes_seconds
def test_right_engines_are_called_alarming_at_the_nominal_rate(engine):
    alarming = []
    for seed in range(25):
        engine.set_params(seed=seed)
        _, x, x_err = targets(2, seed=100 + seed)
        alarming.append(not engine.diagnose(x, x_err, path=None, n_sims=120).passed)
    # Four panels, five in a hundred together: six of 25 would happen once in 700 times.
    assert sum(alarming) <= 5


@pytest.mark.parametrize(
    ("scale", "shift", "words"),
    [(0.6, 0.0, "posteriors are too narrow"), (1.7, 0.0, "too wide"), (1.0, 0.5, "are biased")],
    ids=["narrow", "wide", "biased"],
)
def test_a_wrong_engine_fails_in_words_and_near_the_observation(engine, scale, shift, words):
    engine.estimator_.scale, engine.estimator_.shift = scale, shift
    _, x, x_err = targets(1)
    found = engine.diagnose(x, x_err, path=None, n_sims=500)
    assert not found.passed and words in found.problems[0]
    assert found.problems[1].startswith("The network is wrong near observation 0")
    width = found.checks[0].local.width
    np.testing.assert_allclose(width, 1.0 / scale, atol=5 * found.checks[0].local.width_err.max())


def test_strange_data_are_named_and_so_is_a_wrong_model(engine):
    _, x, x_err = targets(3)
    x[0] += 4.0 * np.sin(9.0 * T)
    x[2] *= 30.0
    found = engine.diagnose(x, x_err, path=None, n_sims=500)
    alarming = found.table[found.table.alarming]
    assert set(alarming[alarming.panel == "out of distribution"].name) == {"observation 0", "observation 2"}
    assert not (found.table[found.table.panel == "calibration"].alarming).any()
    assert found.problems[0].startswith("The model is misspecified: observation 0 is unlike the simulations")


def test_simulations_of_the_user_serve_where_there_is_no_simulator(trained):
    theta, x, x_err = targets(150, seed=5)
    engine = NBI(noise=trained.noise, priors=normal_priors(), seed=3, device="cpu")
    engine.estimator_ = trained.estimator_
    found = engine.diagnose(x[:1], x_err[:1], x=(x, x_err), y=theta, path=None)
    assert len(found.scores) == 150 and found.checks[0].fit is None
    assert "Not judged" in found.html
    with pytest.raises(ValueError, match=r"simulator: expected a function, got None; .* pass x= and y="):
        engine.diagnose(path=None)


def test_missing_points_have_no_residual():
    from engine_cases import with_gaps

    engine = an_engine(noise=with_gaps).fit(300, n_epochs=1, training=QUICK, print_method="none")
    _, x, x_err, mask = targets(1, with_gaps)
    found = engine.diagnose(x, x_err, mask, path=None, n_sims=120)
    assert found.checks[0].fit.n_data == mask.sum()


def test_mistakes_are_refused(engine):
    theta, x, x_err = targets(150)
    for given, told in (
        ({"x": (x, x_err)}, "x, y: expected both or none"),
        ({"x_err": x_err}, "x_obs: expected observations"),
        ({"n_sims": 20}, "n_sims: expected 100 usable simulations at least, got 20"),
        ({"x": (x, x_err), "y": theta[:7]}, "y: expected parameters of the targets, shape"),
        ({"x": (x, x_err, None, None), "y": theta}, "x: expected data, or a tuple of data"),
    ):
        with pytest.raises(ValueError, match=told):
            engine.diagnose(path=None, **given)
    with pytest.raises(NotFittedError):
        an_engine().diagnose(path=None)

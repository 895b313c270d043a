"""Ensembles of networks: the mean of their densities, trained, drawn from, saved and read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_cases import QUICK, an_engine, targets
from scipy.special import logsumexp
from scipy.stats import kstest

from nbi_sampler import NBI
from nbi_sampler.networks.flows import flow_factory


@pytest.fixture(scope="module")
def engine():
    told = []
    made = an_engine(n_ensemble=3)
    made.fit(
        400, n_epochs=3, training=QUICK, print_method="none", on_epoch=lambda *each: told.append(each[0])
    )
    made.told = told
    return made


def test_members_differ_and_all_epochs_are_counted(engine):
    first, second, _ = engine.estimator_.flow.members
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert not all(torch.equal(*pair) for pair in pairs)
    assert engine.told == list(range(9)) and len(engine.training_info_.validation) == 9


def test_the_density_is_the_mean_of_those_of_the_members(engine):
    flow = engine.estimator_.flow
    _, x, x_err = targets(4)
    context = engine.estimator_.features(engine.estimator_.observation(x, x_err))
    z = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    own = context.split(flow.sizes, 1)
    with torch.no_grad():
        each = [member.log_prob(z, part).numpy() for member, part in zip(flow.members, own, strict=True)]
        found = flow.log_prob(z, context).numpy()
    np.testing.assert_allclose(found, logsumexp(each, axis=0) - np.log(3), rtol=1e-5)


@pytest.mark.parametrize("shared", [True, False], ids=["one context", "a context a row"])
def test_draws_follow_the_density(engine, shared):
    """The integral of the density below each draw is uniform, which is told in the first coordinate."""
    flow = engine.estimator_.flow
    _, x, x_err = targets(1)
    context = engine.estimator_.features(engine.estimator_.observation(x, x_err))
    n = 2000
    given = context if shared else context.repeat(n, 1)
    draws = flow.sample(n, given, torch.Generator().manual_seed(2))[:, 0].numpy()
    grid = torch.linspace(-6, 6, 121)
    points = torch.cartesian_prod(grid, grid)
    with torch.no_grad():
        density = flow.log_prob(points, context).exp().reshape(121, 121).sum(1).numpy()
    below = np.interp(draws, grid.numpy() + 0.05, np.cumsum(density) / density.sum())
    assert kstest(below, "uniform").pvalue > 1e-3


def test_it_is_saved_and_read_with_the_same_digits(engine, tmp_path):
    engine.save(tmp_path / "a.nbi")
    loaded = NBI.load(tmp_path / "a.nbi", simulator=engine.simulator, noise=engine.noise)
    assert loaded.n_ensemble == 3 and loaded.flow["type"] == "maf"
    _, x, x_err = targets(2)
    np.testing.assert_array_equal(
        loaded.sample(x, x_err, n_samples=50), engine.sample(x, x_err, n_samples=50)
    )


def test_same_seed_same_ensemble():
    _, x, x_err = targets(1)
    drawn = [
        an_engine(n_ensemble=2)
        .fit(150, n_epochs=1, training=QUICK, print_method="none")
        .sample(x, x_err, n_samples=20)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*drawn)


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match="n_ensemble: expected an integer of at least 1"):
        an_engine(n_ensemble=0)
    with pytest.raises(TypeError, match="n_ensemble: expected 1 for featurizers that are modules"):
        NBI("maf", torch.nn.Flatten(), noise=0.1, priors=an_engine().priors, n_ensemble=2)
    member = {"type": "maf", "n_dims": 2, "n_context": 3}
    with pytest.raises(ValueError, match="the members take 3 features, there are 4"):
        flow_factory({"type": "ensemble", "members": [member]})(2, 4)
    with pytest.raises(ValueError, match="members: expected at least one dictionary"):
        flow_factory({"type": "ensemble"})(2, 4)

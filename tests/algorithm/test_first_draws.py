"""Evenly spread draws from the prior: each follows the prior, and together they leave fewer gaps."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import cKDTree
from scipy.special import ndtr

from nbi_sampler.algorithm.first_draws import evenly_spread


@pytest.mark.parametrize("n_dim", [1, 2, 5, 8])
def test_each_is_a_draw_from_the_prior(n_dim):
    """The same point of many sequences is uniform, as is every coordinate of one."""
    first = np.array([evenly_spread(3, np.random.default_rng(seed), n_dim)[2] for seed in range(400)])
    whole = evenly_spread(2000, np.random.default_rng(0), n_dim)
    for z in (first, whole):
        assert z.shape[1] == n_dim and np.isfinite(z).all()
        assert min(stats.kstest(column, "norm").pvalue for column in z.T) > 1e-3 / n_dim


@pytest.mark.parametrize(("n_dim", "n"), [(2, 2000), (3, 2000), (6, 2500)])
def test_fewer_places_lie_far_from_all_of_them(n_dim, n):
    rng = np.random.default_rng(1)
    places = rng.random((3000, n_dim))
    missed = []
    for z in (evenly_spread(n, rng, n_dim), rng.normal(size=(n, n_dim))):
        distance, _ = cKDTree(ndtr(z)).query(places)
        missed.append(distance)
    assert np.quantile(missed[0], 0.99) < 0.95 * np.quantile(missed[1], 0.99)
